"""A softmax regression for each user on item features, all users at once.

A user's weights maximise ``wanted . w - total log sum_i exp(o_i + f_i . w) - ridge / 2 |w|^2``, a
concave function, where ``wanted`` and ``total`` are the sums by which a history enters its log
likelihood: of the features of its items, weighted, and of the weights.

Two solvers of one problem. Newton's method with each user's own curvature takes four steps, of a
product of the features with themselves and a linear system for each user: right for the two dozen
genres and years of the feature head. Under a privacy budget there are three times as many columns
(texts, popularity levels), at which that is nine times the work for each of many users; there all
share the curvature under the offset alone, and a step is two products with the columns themselves.
"""

import torch
from torch import Tensor

FIRST_STEP = 0.7
"""With a shared curvature, in units of a Newton step."""


def fit_newton(
    features: Tensor, offset: Tensor, wanted: Tensor, total: Tensor, ridge: float, steps: int
) -> Tensor:
    """Every user's weights by Newton's method; a step that overshoots is halved.

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
    identity = torch.eye(len(features.T), device=features.device)
    weight = total[:, None]
    best = move = torch.zeros_like(wanted)
    reached = torch.full_like(weight, -torch.inf)
    for left in range(steps, -1, -1):
        tried = best + move
        norm, chance = _softmax(features, offset, tried)
        value = ((wanted - ridge / 2 * tried) * tried).sum(1, keepdim=True) - weight * norm
        worse = value < reached
        best, reached = torch.where(worse, best, tried), torch.maximum(value, reached)
        if left:
            mean = chance @ features
            gradient = wanted - weight * mean - ridge * tried
            curvature = weight[:, :, None] * _covariance(features, chance, mean)
            newton = torch.linalg.solve(curvature + ridge * identity, gradient)
            move = torch.where(worse, move / 2, newton)
    return best


def fit_shared_curvature(
    features: Tensor, offset: Tensor, wanted: Tensor, total: Tensor, ridge: float, steps: int = 12
) -> Tensor:
    """Every user's weights by gradient steps; a step that overshoots is halved, and so the next.

    In the basis where the features are uncorrelated under the offset's softmax the curvature that
    all users share is diagonal. Arguments and result as in `fit_newton`.
    """
    variance, turn = _uncorrelated(features, offset)
    turned, goal, weight = features @ turn, wanted @ turn, total[:, None]
    tried = best = move = torch.zeros_like(goal)
    step = torch.full_like(weight, FIRST_STEP)
    reached = torch.full_like(weight, -torch.inf)
    for _ in range(steps):
        norm, chance = _softmax(turned, offset, tried)
        value = (goal * tried).sum(1, keepdim=True) - weight * norm
        value = value - ridge / 2 * tried.square().sum(1, keepdim=True)
        worse = value < reached
        step = torch.where(worse, step / 2, step)
        gradient = goal - weight * (chance @ turned) - ridge * tried
        move = torch.where(worse, move, gradient / (weight * variance + ridge))
        best, reached = torch.where(worse, best, tried), torch.maximum(value, reached)
        tried = best + step * move
    return best @ turn.T


def _softmax(features: Tensor, offset: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithm of its denominator ``[users, 1]``, and chances ``[users, items]``."""
    logits = offset + weights @ features.T
    norm = torch.logsumexp(logits, 1, keepdim=True)
    return norm, (logits - norm).exp()


def _covariance(features: Tensor, chance: Tensor, mean: Tensor) -> Tensor:
    """Of the features under each user's current preference, ``[users, columns, columns]``."""
    # user by user: products of features, items * columns^2 / 2 numbers, are not held
    second = features.new_empty(len(chance), features.shape[1], features.shape[1])
    for each, into in zip(chance, second, strict=True):
        torch.mm((features * each[:, None]).T, features, out=into)
    return second - mean[:, :, None] * mean[:, None, :]


def _uncorrelated(features: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Variances, ascending, and directions of the features under the offset's softmax."""
    chance = torch.softmax(offset.double(), 0)[:, None]
    wide = features.double()
    mean = (chance * wide).sum(0)
    spread = (wide * chance).T @ wide - torch.outer(mean, mean)
    variance, directions = torch.linalg.eigh(spread)
    return variance.clamp(min=0).to(features.dtype), directions.to(features.dtype)
