"""Item-graph scores at every place of a history, as if its owner had added nothing to the graph.

A model trained beside a graph must not see its targets in it: the graph holds the very pairs that
the model is asked for. Each device takes its own contribution out again, exactly: from the
nearness operator (`ufgraphfr.ops.item_graph.normalised`) by subtraction, from ridge regression,
where a history x adds x x^T to G, by the formula of Sherman and Morrison.

Both take a stretch of histories and score after each item but the last, which is only ever a
target. Their scores are large, so they are written where the caller wants them.
"""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners


def near_scores(
    stretch: Tensor,
    operator: Tensor,
    total: Tensor,
    shrink: float,
    weights: Tensor,
    decay: float,
    out: Tensor | None = None,
) -> Tensor:
    """Scores by the nearness operator of everybody else.

    Args:
        stretch: int64 ``[clients, length]``, a part of each history, -1 after its end.
        operator: float ``[items, items]``, N_ij / (sqrt(n_i n_j) + shrink).
        total: float ``[items]``, n; it stays as it is, own interactions included.
        shrink: as in the operator.
        weights: float ``[reach]``, that a client adds for items 1, 2, ... places apart.
        decay: weight of a history item relative to the next one.
        out: where the scores go.

    Returns:
        float ``[clients, length - 1, items]``; pairs with one item outside the stretch stay in.
    """
    seen = stretch[:, :-1]
    scores = past_sums(seen, operator, decay, out)
    own = own_links(stretch, total, shrink, weights)[:, :-1]
    taken = past_weights(seen, decay, operator) @ own
    return scores.scatter_add_(2, _at_each(stretch.clamp(min=0), seen.shape[1]), -taken)


def ridge_scores(
    stretch: Tensor,
    inverse: Tensor,
    ptr: Tensor,
    items: Tensor,
    decay: float,
    out: Tensor | None = None,
) -> Tensor:
    """Scores by the ridge regression of everybody else.

    Args:
        stretch: int64 ``[clients, length]``, a part of each history, -1 after its end.
        inverse: float ``[items, items]``, P = (G + ridge I)^-1.
        ptr: int64 ``[clients + 1]``, the clients' places in ``items``.
        items: int64 ``[rows]``, their whole histories, which they added to G.
        decay: weight of a history item relative to the next one.
        out: where the scores go.

    Returns:
        float ``[clients, length - 1, items]``.
    """
    seen = stretch[:, :-1]
    picked, past = seen.clamp(min=0), past_weights(seen, decay, inverse)
    # P x for each client's x, and x^T P x
    history = inverse.new_zeros(len(seen), len(inverse))
    history[owners(ptr, len(items)), items] = 1
    image = history @ inverse
    factor = 1 / (1 - (image * history).sum(1))
    along = factor[:, None, None] * (past @ image.gather(1, picked)[:, :, None])
    moved = past_sums(seen, inverse, decay, out).addcmul_(along, image[:, None, :])
    diagonal = inverse.diagonal() + factor[:, None] * image.square()
    # the operator has no diagonal: what an item would add to itself is taken back
    return moved.div_(-diagonal[:, None, :]).scatter_add_(2, _at_each(picked, seen.shape[1]), past)


def past_sums(seen: Tensor, operator: Tensor, decay: float, out: Tensor | None = None) -> Tensor:
    """Scores after each item by an operator as it is, float ``[clients, length, width]``."""
    clients, length = seen.shape
    sums = operator.new_empty(clients, length, operator.shape[1]) if out is None else out
    total = operator.new_zeros(clients, operator.shape[1])
    for place in range(length):
        total.mul_(decay).add_(operator[seen[:, place].clamp(min=0)])
        sums[:, place] = total
    return sums


def own_links(stretch: Tensor, total: Tensor, shrink: float, weights: Tensor) -> Tensor:
    """What clients added to the nearness operator, place by place ``[clients, length, length]``.

    Args:
        stretch: the histories.
        total: float ``[items]``, how many clients have each item.
        shrink: as in the operator.
        weights: float ``[reach]``.
    """
    place = torch.arange(stretch.shape[1], device=stretch.device)
    gap = (place[:, None] - place).abs()
    by_gap = torch.cat((weights.new_zeros(1), weights, weights.new_zeros(1)))
    root = total[stretch.clamp(min=0)].clamp(min=1).sqrt()
    own = by_gap[gap.clamp(max=len(by_gap) - 1)] * (stretch >= 0)[:, None, :]
    return own / (root[:, :, None] * root[:, None, :] + shrink)


def past_weights(seen: Tensor, decay: float, like: Tensor) -> Tensor:
    """Each place's weights of the items up to it, float ``[clients, length, length]``."""
    place = torch.arange(seen.shape[1], device=seen.device)
    age = place[:, None] - place
    weights = torch.where(age >= 0, decay ** age.clamp(min=0).to(like.dtype), 0.0)
    return weights * (seen >= 0).to(like.dtype)[:, None, :]


def before_each(scores: Tensor) -> Tensor:
    """Scores after each item but the last as scores before each item, ``[..., length, items]``."""
    # before the first item there is nothing to go by
    return torch.nn.functional.pad(scores, (0, 0, 1, 0))


def _at_each(items: Tensor, places: int) -> Tensor:
    """The items as an index at each place, int64 ``[clients, places, length]``."""
    return items[:, None, :].expand(-1, places, -1)
