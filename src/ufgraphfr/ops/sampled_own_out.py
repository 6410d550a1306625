"""Item-graph scores of a sample of items and of each next item, the own contribution left out.

As `ufgraphfr.ops.leave_own_out`, at a few columns: the operators' sampled columns are picked before
anything is propagated over them. All functions take a stretch of histories, int64 ``[clients,
length]``, -1 after its end, and return float ``[clients, length - 1, sample + 1]``: after each item
but the last the scores of the sampled items and, in the last column, of the item that comes next.
"""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.ops.leave_own_out import own_links, past_sums, past_weights


def sampled_near(
    stretch: Tensor,
    sample: Tensor,
    cut: Tensor,
    operator: Tensor,
    total: Tensor,
    shrink: float,
    weights: Tensor,
    decay: float,
) -> Tensor:
    """By the nearness operator of everybody else, see `leave_own_out.near_scores`.

    Args:
        stretch: the histories.
        sample: int64 ``[sample]``.
        cut: float ``[items, sample]``, the operator's columns.
        operator: float ``[items, items]``.
        total: float ``[items]``, how many clients have each item.
        shrink: as in the operator.
        weights: float ``[reach]``, that a client adds for items 1, 2, ... places apart.
        decay: weight of a history item relative to the next one.
    """
    seen, following = stretch[:, :-1], stretch[:, 1:].clamp(min=0)
    past = past_weights(seen, decay, operator)
    own = own_links(stretch, total, shrink, weights)[:, :-1]
    links = operator[seen.clamp(min=0)[:, :, None], following[:, None, :]] - own[:, :, 1:]
    others = past_sums(seen, cut, decay) - past @ (own @ same_item(stretch, sample, operator))
    return torch.cat((others, at_next(past, links)), -1)


def sampled_ridge(
    stretch: Tensor,
    sample: Tensor,
    cut: Tensor,
    inverse: Tensor,
    ptr: Tensor,
    items: Tensor,
    decay: float,
) -> Tensor:
    """By the ridge regression of everybody else, see `leave_own_out.ridge_scores`.

    Args:
        stretch: the histories' part.
        sample: int64 ``[sample]``.
        cut: float ``[items, sample]``, the inverse's columns.
        inverse: float ``[items, items]``, P.
        ptr: int64 ``[clients + 1]``, the clients' places in ``items``.
        items: int64 ``[rows]``, their whole histories.
        decay: weight of a history item relative to the next one.
    """
    seen, following = stretch[:, :-1], stretch[:, 1:].clamp(min=0)
    picked, past = seen.clamp(min=0), past_weights(seen, decay, inverse)
    history = inverse.new_zeros(len(seen), len(inverse))
    history[owners(ptr, len(items)), items] = 1
    image = history @ inverse
    factor = 1 / (1 - (image * history).sum(1))[:, None]
    diagonal = inverse.diagonal() + factor * image.square()
    along = factor[:, :, None] * (past @ image.gather(1, picked)[:, :, None])
    moved = past_sums(seen, cut, decay) + along * image[:, None, sample]
    others = past @ same_item(seen, sample, inverse) - moved / diagonal[:, None, sample]
    links = inverse[picked[:, :, None], following[:, None, :]]
    moved = at_next(past, links) + along * image.gather(1, following)[:, :, None]
    return torch.cat((others, -moved / diagonal.gather(1, following)[:, :, None]), -1)


def sampled_smooth(
    stretch: Tensor, sample: Tensor, into: Tensor, out: Tensor, decay: float
) -> Tensor:
    """By an operator in two factors, ``[items, rank]`` and ``[rank, items]``, as it is."""
    sums = past_sums(stretch[:, :-1], into, decay)
    following = out.T[stretch[:, 1:].clamp(min=0)]
    return torch.cat((sums @ out[:, sample], (sums * following).sum(-1, keepdim=True)), -1)


def same_item(stretch: Tensor, sample: Tensor, like: Tensor) -> Tensor:
    """Which place holds which sampled item, 0 or 1, ``[clients, length, sample]``."""
    return (stretch[:, :, None] == sample).to(like.dtype)


def at_next(past: Tensor, links: Tensor) -> Tensor:
    """From links ``[clients, from, to]`` the score of each place's own next item, one column."""
    return (past * links.transpose(1, 2)).sum(-1, keepdim=True)
