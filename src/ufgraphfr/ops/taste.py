"""A softmax regression for each user on item features, all users at once.

A user's weights maximise ``wanted . w - total log sum_i exp(o_i + f_i . w) - ridge / 2 |w|^2``,
a concave function, where ``wanted`` and ``total`` are the sums by which a history enters its log
likelihood. Solved by gradient steps in the basis where the features are uncorrelated under the
offset's softmax, so that the common curvature is diagonal; a step that overshoots is halved.
"""

import torch
from torch import Tensor

START = 0.7
"""First step length, in units of a Newton step with everybody's curvature."""


def tastes(
    features: Tensor, offset: Tensor, wanted: Tensor, total: Tensor, ridge: float, steps: int = 12
) -> Tensor:
    """Every user's weights, float ``[users, columns]``; zeros for a user who wants nothing.

    Args:
        features: float ``[items, columns]``.
        offset: float ``[items]``, what all users share.
        wanted: float ``[users, columns]``, the weighted sum of the features of a user's items.
        total: float ``[users]``, the sum of those weights.
        ridge: pulls a user's weights to zero.
        steps: of the ascent.
    """
    curvature, turn = _common(features, offset)
    turned, goal, weight = features @ turn, wanted @ turn, total[:, None]
    found = torch.zeros_like(goal)
    step = torch.full_like(weight, START)
    best = torch.full_like(weight, -torch.inf)
    kept, move = found, found
    for _ in range(steps):
        logits = offset + found @ turned.T
        norm = torch.logsumexp(logits, 1, keepdim=True)
        value = (goal * found).sum(1, keepdim=True) - weight * norm
        value = value - ridge / 2 * found.square().sum(1, keepdim=True)
        worse = value < best
        step = torch.where(worse, step / 2, step)
        gradient = goal - weight * ((logits - norm).exp() @ turned) - ridge * found
        move = torch.where(worse, move, gradient / (weight * curvature + ridge))
        kept, best = torch.where(worse, kept, found), torch.where(worse, best, value)
        found = kept + step * move
    return kept @ turn.T


def _common(features: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Variances, ascending, and directions of the features under the offset's softmax."""
    chance = torch.softmax(offset.double(), 0)[:, None]
    wide = features.double()
    mean = (chance * wide).sum(0)
    spread = (wide * chance).T @ wide - torch.outer(mean, mean)
    variance, directions = torch.linalg.eigh(spread)
    return variance.clamp(min=0).to(features.dtype), directions.to(features.dtype)
