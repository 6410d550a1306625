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
    scores = scores.clone()
    candidates = leave_candidates(scores, target[:, None], ptr, excluded)
    return candidate_ranks(scores, candidates, target)


def leave_candidates(scores: Tensor, targets: Tensor, ptr: Tensor, excluded: Tensor) -> Tensor:
    """Take the scores of excluded items away, as `candidate_ranks` has them.

    Args:
        scores: float ``[..., clients, items]``; NaN is written where an item is no candidate, which
            lasts through any weighted sum.
        targets: int64 ``[clients, targets]``.
        ptr: int64 ``[clients + 1]``, the clients' places in ``excluded``.
        excluded: int64; a target is a candidate even if it is among them.

    Returns:
        How many candidates are left, int64 ``[clients]``.
    """
    clients, items = scores.shape[-2:]
    owner = owners(ptr, len(excluded))
    others = (excluded[:, None] != targets[owner]).all(1)
    owner, excluded = owner[others], excluded[others]
    scores[..., owner, excluded] = torch.nan
    return items - torch.bincount(owner, minlength=clients)


def candidate_ranks(scores: Tensor, candidates: Tensor, target: Tensor) -> Tensor:
    """The target's rank among the candidates.

    Args:
        scores: float ``[..., clients, items]``, NaN where an item is no candidate.
        candidates: int64 ``[clients]``, how many there are.
        target: int64 ``[clients]``.

    Returns:
        float64 ``[..., clients]``; the last place if the target's score is NaN.
    """
    return each_rank(scores, candidates, target[:, None])[..., 0]


def each_rank(scores: Tensor, candidates: Tensor, targets: Tensor) -> Tensor:
    """The rank of each of a client's targets among the candidates without its other targets.

    Args:
        scores: see `candidate_ranks`.
        candidates: int64 ``[clients]``, how many there are, targets included.
        targets: int64 ``[clients, targets]``; -1 where a client has fewer.

    Returns:
        float64 ``[..., clients, targets]``; NaN where there is no target.
    """
    there = targets >= 0
    own, last = _at(scores, targets.clamp(min=0)), candidates - there.sum(1) + 1
    # ones and zeros as floats are several times as fast as bool, and their sum is exact
    found, ranks = torch.empty_like(scores, dtype=torch.float32), []
    for one in own.split(1, dim=-1):
        # a target ties with itself, and is above others that are no candidates beside it
        better = torch.gt(scores, one, out=found).sum(-1) - ((own > one) & there).sum(-1)
        ties = torch.eq(scores, one, out=found).sum(-1) - ((own == one) & there).sum(-1)
        ranks.append(_rank(one[..., 0], better, ties, last))
    return torch.stack(ranks, -1).masked_fill_(~there, torch.nan)


def sampled_ranks(scores: Tensor, target: Tensor, candidates: Tensor) -> Tensor:
    """The target's rank among itself and some given candidates.

    Args:
        scores: float ``[..., clients, items]``.
        target: int64 ``[clients]``, not among the candidates.
        candidates: int64 ``[clients, sampled]``; -1 where a client has too few.

    Returns:
        float64 ``[..., clients]``; the last place if the target's score is NaN, and NaN, no rank,
        for a client with too few candidates.
    """
    at_target, others = _at(scores, target[:, None]), _at(scores, candidates.clamp(min=0))
    better, ties = (others > at_target).sum(-1), (others == at_target).sum(-1)
    last = torch.full_like(target, candidates.shape[1] + 1)
    ranks = _rank(at_target[..., 0], better, ties, last)
    return ranks.masked_fill((candidates < 0).any(1), torch.nan)


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


def _at(scores: Tensor, items: Tensor) -> Tensor:
    """The scores of some items of each client, int64 ``[clients, n]``."""
    return scores.gather(-1, items.expand(*scores.shape[:-1], -1))


def _rank(at_target: Tensor, better: Tensor, ties: Tensor, last: Tensor) -> Tensor:
    return torch.where(at_target.isnan(), last, 1 + better + ties.double() / 2)
