"""Metrics of a shard as sums over its users, for every blend of the model's parts at once."""

from collections.abc import Callable

import torch
from torch import Tensor

from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.split import Part, Split
from ufgraphfr.deploy.agent.users import ShardUsers
from ufgraphfr.evaluation.metrics import NAMES, values
from ufgraphfr.evaluation.protocol import COVERAGE, RANKINGS, inputs
from ufgraphfr.ops.ranking import full_ranks, sampled_ranks, top

Parts = Callable[[ClientBatch], Tensor]
"""From clients with their input to scores of each part, float ``[parts, clients, items]``."""


def metric_sums(
    parts: Parts, choices: Tensor, users: ShardUsers, part: Part, chunk: int
) -> dict[str, Tensor]:
    """Sums over the users that are asked.

    Args:
        parts: the model.
        choices: float ``[choices, parts]``, weights of the parts to try.
        users: of the shard.
        part: ``validation`` or ``test``.
        chunk: users at a time.

    Returns:
        ``sums`` float64 ``[choices, rankings, metrics]``, ``asked`` int64 ``[1]`` and, if there
        is one choice, ``covered`` uint8 ``[items]``: 1 for items in somebody's top ten.
    """
    clients = inputs(users.batch, users.split, part)
    sums = torch.zeros(len(choices), len(RANKINGS), len(NAMES), dtype=torch.float64)
    covered = torch.zeros(users.batch.catalogue, dtype=torch.uint8)
    for places in torch.arange(len(clients)).split(chunk):
        own = clients.select(places)
        scored = parts(own)
        asked = torch.searchsorted(users.clients, own.clients)
        for choice, weights in enumerate(choices):
            scores = torch.einsum("p,pci->ci", weights, scored)
            sums[choice] += _sums(scores, own, asked, users.split, part)
        if len(choices) == 1:
            best = top(scores, COVERAGE, own.ptr, own.items)
            covered[best[best >= 0]] = 1
    found = {"sums": sums, "asked": torch.tensor([len(clients)])}
    return found | ({"covered": covered} if len(choices) == 1 else {})


def _sums(scores: Tensor, own: ClientBatch, asked: Tensor, split: Split, part: Part) -> Tensor:
    validation = part == "validation"
    targets = torch.from_numpy(split.validation if validation else split.test)[asked]
    rivals = torch.from_numpy(split.sampled_validation if validation else split.sampled_test)
    ranks = (
        full_ranks(scores, targets, own.ptr, own.items).numpy(),
        sampled_ranks(scores, targets, rivals[asked]).numpy(),
    )
    return torch.tensor([[values(name, each).sum() for name in NAMES] for each in ranks])
