"""Blend weights picked on validation: every device ranks its own validation item under each choice.

Only counts leave a device: its NDCG for each choice, summed over devices.
"""

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.messages import State
from ufgraphfr.data.shards import Shard
from ufgraphfr.evaluation.metrics import SELECTED_BY, values
from ufgraphfr.evaluation.protocol import inputs
from ufgraphfr.experiment.prepare import Prepared
from ufgraphfr.federation.store import MemoryStore


def with_best_blend(
    algorithm: Algorithm,
    state: State,
    store: MemoryStore,
    prepared: Prepared,
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
    clients = inputs(prepared.shard, prepared.split, "validation")
    targets = torch.from_numpy(prepared.split.validation)[clients.clients]
    gains = torch.zeros(len(choices), dtype=torch.float64)
    for places in torch.arange(len(clients)).split(chunk):
        own = clients.select(places).to(store.device)
        task = algorithm.evaluated(state, own.clients, round_number + 1)
        parts = algorithm.parts(task, own, store.gather(own.clients))
        ranks = _ranks(parts, choices.to(parts.device), targets[places].to(parts.device), own)
        gains += torch.from_numpy(values(SELECTED_BY, ranks.cpu().numpy()).sum(1))
    best: Tensor = choices[gains.argmax()]
    return state | {"blend": best.to(store.device)}


def _ranks(parts: Tensor, choices: Tensor, targets: Tensor, clients: Shard) -> Tensor:
    """Full rank of each target under each choice, float64 ``[choices, clients]``.

    Args:
        parts: float ``[parts, clients, items]``.
        choices: float ``[choices, parts]``, not negative and not all zero.
        targets: int64 ``[clients]``.
        clients: their histories, which are no candidates.
    """
    places = torch.arange(len(clients), device=parts.device)
    # how far each part puts each item above the target
    above = parts - parts[:, places, targets][..., None]
    owner = torch.repeat_interleave(places, clients.counts, output_size=len(clients.items))
    above[:, owner, clients.items] = -torch.inf
    ranks = []
    for weights in choices:
        # a part without weight must not turn -inf into NaN
        used = weights > 0
        blended = torch.einsum("p,pci->ci", weights[used], above[used])
        level = (blended == 0).sum(1) - 1
        ranks.append(1 + (blended > 0).sum(1) + level.double() / 2)
    return torch.stack(ranks)
