"""A softmax regression for each user on item features, all users at once.

A user's weights maximise ``wanted . w - total log sum_i exp(o_i + f_i . w) - ridge / 2 |w|^2``, a
concave function, where ``wanted`` and ``total`` are the sums by which a history enters its log
likelihood: of the features of its items, weighted, and of the weights.

All share the curvature under the offset alone, so a step is two products with the columns
themselves. Each user's own curvature (Newton's method) takes fewer steps, of a product of the
features with themselves: a multiple of the time at two dozen columns, twenty times at 257.
"""

import torch
from torch import Tensor

FIRST_STEP = 0.7
"""In units of a Newton step."""
STEPS = 16
"""To a thousandth of what there is to gain, at 25 and at 257 columns."""
ROUNDING = 1e-6
"""Of the log likelihood, relative to its larger term: a value that is lower by less is no worse."""
LIKELIEST = 2048
"""Items from which the curvature is told."""


def fit(
    features: Tensor,
    offset: Tensor,
    wanted: Tensor,
    total: Tensor,
    ridge: float,
    steps: int = STEPS,
) -> Tensor:
    """Every user's weights by gradient steps; a step that overshoots is halved, and so the next.

    In the basis where the features are uncorrelated under the offset's softmax the curvature that
    all users share is diagonal.

    Args:
        features: float ``[items, columns]``.
        offset: float ``[items]``, scores that all users share (log popularity).
        wanted: float ``[users, columns]``, the weighted sum of the features of a user's items.
        total: float ``[users]``, the sum of those weights.
        ridge: pulls a user's weights to zero.
        steps: how many; more never make the weights worse.

    Returns:
        float ``[users, columns]``; zeros for a user without history.
    """
    variance, turn = uncorrelated(features, offset)
    weight = total[:, None]
    tried = best = move = torch.zeros_like(wanted)
    step = torch.full_like(weight, FIRST_STEP)
    reached = torch.full_like(weight, -torch.inf)
    for _ in range(steps):
        norm, chance = _softmax(features, offset, tried)
        value = (wanted * tried).sum(1, keepdim=True) - weight * norm
        value = value - ridge / 2 * tried.square().sum(1, keepdim=True)
        # rounding must not decide: near the best it would halve steps that are right
        worse = value < reached - ROUNDING * weight * norm.abs()
        step = torch.where(worse, step / 2, step)
        gradient = wanted - weight * (chance @ features) - ridge * tried
        newton = (gradient @ turn / (weight * variance + ridge)) @ turn.T
        move = torch.where(worse, move, newton)
        best, reached = torch.where(worse, best, tried), torch.maximum(value, reached)
        tried = best + step * move
    return best


def _softmax(features: Tensor, offset: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithm of its denominator ``[users, 1]``, and chances ``[users, items]``."""
    logits = offset + weights @ features.T
    norm = torch.logsumexp(logits, 1, keepdim=True)
    return norm, (logits - norm).exp()


def uncorrelated(features: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Variances, ascending, and directions of the features under the offset's softmax.

    Of a large catalogue its likeliest items stand for all: this is asked for again and again, and
    steps of nearly the right length do.
    """
    likeliest = offset.topk(min(LIKELIEST, len(offset))).indices
    chance = torch.softmax(offset[likeliest].double(), 0)[:, None]
    wide = features[likeliest].double()
    mean = (chance * wide).sum(0)
    spread = (wide * chance).T @ wide - torch.outer(mean, mean)
    variance, directions = torch.linalg.eigh(spread)
    return variance.clamp(min=0).to(features.dtype), directions.to(features.dtype)
