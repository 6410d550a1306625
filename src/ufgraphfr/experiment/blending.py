"""Blend weights picked on validation: every device ranks its own validation item under each choice.

Only sums leave a device: its NDCG for each choice, summed over devices.
"""

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.messages import State
from ufgraphfr.evaluation.metrics import SELECTED_BY, values
from ufgraphfr.evaluation.protocol import inputs
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.ops.ranking import full_ranks


def with_best_blend(
    algorithm: Algorithm,
    state: State,
    store: PrivateState,
    prepared: PreparedExperiment,
    round_number: int,
    chunk: int,
) -> State:
    """The server's memory with ``blend`` set; unchanged for a model that blends nothing.

    Args:
        algorithm: the model.
        state: the server's memory.
        store: everybody's private weights.
        prepared: data and split.
        round_number: how many rounds are done.
        chunk: clients at a time.
    """
    choices = algorithm.blends()
    if choices is None:
        return state
    clients = inputs(prepared.batch, prepared.split, "validation")
    targets = torch.from_numpy(prepared.split.validation)[clients.clients]
    gains = torch.zeros(len(choices), dtype=torch.float64)
    for places in torch.arange(len(clients)).split(chunk):
        own = clients.select(places).to(store.device)
        task = algorithm.evaluated(state, own.clients, round_number + 1)
        parts = algorithm.parts(task, own, store.gather(own.clients))
        wanted = targets[places].to(parts.device)
        for choice, weights in enumerate(choices.to(parts.device)):
            scores = torch.einsum("p,pci->ci", weights, parts)
            ranks = full_ranks(scores, wanted, own.ptr, own.items)
            gains[choice] += values(SELECTED_BY, ranks.cpu().numpy()).sum()
    # rounded, so that the order of summation decides no tie
    best: Tensor = choices[gains.round(decimals=9).argmax()]
    return state | {"blend": best.to(store.device)}
