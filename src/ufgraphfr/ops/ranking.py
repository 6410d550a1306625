"""Where a target ranks among its candidates, and the best items of each client.

rank = 1 + #better + #ties / 2 over the other candidates: the expected rank when ties are broken at
random, so a constant scorer sits in the middle instead of at the top. NaN is the lowest score.
"""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners


def full_ranks(scores: Tensor, target: Tensor, ptr: Tensor, excluded: Tensor) -> Tensor:
    """The target's rank among all items but each client's excluded ones.

    The target is a candidate even if it is among the excluded items.

    Args:
        scores: float ``[clients, items]``.
        target: int64 ``[clients]``.
        ptr: int64 ``[clients + 1]``, the clients' places in ``excluded``.
        excluded: int64, distinct within a client.

    Returns:
        float64 ``[clients]``; the last place if the target's score is NaN.
    """
    clients, items = scores.shape
    at_target = scores.gather(1, target[:, None])
    owner = owners(ptr, len(excluded))
    foreign = excluded != target[owner]
    owner, excluded = owner[foreign], excluded[foreign]
    removed, reference = scores[owner, excluded], at_target[owner, 0]
    better = (scores > at_target).sum(1, dtype=torch.int32) - _count(
        owner, removed > reference, clients
    )
    # the target ties with itself
    ties = (
        (scores == at_target).sum(1, dtype=torch.int32)
        - 1
        - _count(owner, removed == reference, clients)
    )
    last = items - torch.bincount(owner, minlength=clients)
    return _rank(at_target[:, 0], better, ties, last)


def sampled_ranks(scores: Tensor, target: Tensor, candidates: Tensor) -> Tensor:
    """The target's rank among itself and some given candidates.

    Args:
        scores: float ``[clients, items]``.
        target: int64 ``[clients]``, not among the candidates.
        candidates: int64 ``[clients, sampled]``.

    Returns:
        float64 ``[clients]``; the last place if the target's score is NaN.
    """
    at_target = scores.gather(1, target[:, None])
    others = scores.gather(1, candidates)
    better, ties = (others > at_target).sum(1), (others == at_target).sum(1)
    last = torch.full_like(better, candidates.shape[1] + 1)
    return _rank(at_target[:, 0], better, ties, last)


def top(scores: Tensor, count: int, ptr: Tensor, excluded: Tensor) -> Tensor:
    """Each client's best items, the best first, without its excluded ones; NaN scores come last.

    Args:
        scores: float ``[clients, items]``.
        count: how many items to list.
        ptr: int64 ``[clients + 1]``, the clients' places in ``excluded``.
        excluded: int64, items not to list.

    Returns:
        int64 ``[clients, min(count, items)]``; -1 where a client has no more items.
    """
    items = scores.shape[1]
    owner = owners(ptr, len(excluded))
    # topk puts NaN above everything, so the smallest costs are taken: score, then NaN, then out
    cost = (-scores).clamp(max=torch.finfo(scores.dtype).max)
    cost = cost.masked_fill_(cost.isnan(), torch.inf)
    cost[owner, excluded] = torch.nan
    lowest, best = cost.topk(min(count, items), dim=1, largest=False)
    return best.masked_fill_(lowest.isnan(), -1)


def _count(owner: Tensor, mask: Tensor, clients: int) -> Tensor:
    return torch.bincount(owner[mask], minlength=clients)


def _rank(at_target: Tensor, better: Tensor, ties: Tensor, last: Tensor) -> Tensor:
    return torch.where(at_target.isnan(), last, 1 + better + ties.double() / 2)
