"""Exposure of one item: the share of users who would see it among their best, ER@k.

ER@k = share of the users who have not interacted with the item in whose top k it is (Rong et al.,
"FedRecAttack", ICDE 2022): what an adversary that pushes the item is after.
"""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.evaluation.protocol import Score, scored
from ufgraphfr.ops.ranking import top


def exposure(score: Score, clients: ClientBatch, item: int, k: int = 10, chunk: int = 256) -> float:
    """ER@k of an item among clients with their input; NaN if every one of them has it.

    Their history is not recommended again; see `scored` for the other arguments.
    """
    shown, asked = 0, 0
    for own, scores in scored(score, clients, chunk):
        free = ~has(own, item)
        best = top(scores, k, own.ptr, own.items)
        shown += int(((best == item).any(1) & free).sum())
        asked += int(free.sum())
    return shown / asked if asked else float("nan")


def has(clients: ClientBatch, item: int) -> Tensor:
    """Who has an item in its history, bool ``[clients]``."""
    owner = owners(clients.ptr, len(clients.items))
    found = torch.zeros(len(clients), dtype=torch.bool, device=clients.items.device)
    return found.index_fill(0, owner[clients.items == item], True)
