"""A softmax regression for each user on public item features, fitted on the device.

User u's weights maximise ``sum_i a_i log softmax(offset + F w)_i - ridge / 2 |w|^2`` over its
history, a_i the recency of item i: a concave problem of as many unknowns as there are features,
solved by Newton's method, whose step is halved where it overshoots.
"""

import torch
from torch import Tensor


def fit_heads(
    features: Tensor,
    offset: Tensor,
    history: Tensor,
    ridge: float,
    steps: int,
) -> Tensor:
    """Every user's weights; more steps never make them worse.

    Args:
        features: float ``[items, columns]``, F.
        offset: float ``[items]``, scores that all users share (log popularity).
        history: float ``[clients, items]``, the weights a of each user's items, 0 elsewhere.
        ridge: pulls a user's weights to zero.
        steps: of Newton's method.

    Returns:
        float ``[clients, columns]``; zeros for a user without history.
    """
    total, wanted = history.sum(1, keepdim=True), history @ features
    # products of two features, each pair once: one matrix product then sums them for everybody
    pairs = torch.triu_indices(len(features.T), len(features.T), device=features.device)
    products = features[:, pairs[0]] * features[:, pairs[1]]
    best = move = torch.zeros_like(wanted)
    reached = torch.full_like(total, -torch.inf)
    for left in range(steps, -1, -1):
        tried = best + move
        logits = offset + tried @ features.T
        norm = torch.logsumexp(logits, 1, keepdim=True)
        # what is maximised, up to a constant
        found = ((wanted - ridge / 2 * tried) * tried).sum(1, keepdim=True) - total * norm
        # a step that overshoots is halved, as often as it takes
        worse = found < reached
        best, reached = torch.where(worse, best, tried), torch.maximum(found, reached)
        if left:
            chance = (logits - norm).exp()
            mean = chance @ features
            gradient = wanted - total * mean - ridge * tried
            spread = _covariance(chance @ products, mean, pairs)
            newton = _step(gradient, total[:, :, None] * spread, ridge)
            move = torch.where(worse, move / 2, newton)
    return best


def _covariance(products: Tensor, mean: Tensor, pairs: Tensor) -> Tensor:
    """Of the features under each user's current taste, ``[clients, columns, columns]``."""
    spread = -mean[:, :, None] * mean[:, None, :]
    one, other = pairs
    upper = spread[:, one, other] + products
    spread[:, one, other] = spread[:, other, one] = upper
    return spread


def _step(gradient: Tensor, curvature: Tensor, ridge: float) -> Tensor:
    """To where the quadratic model peaks, ``[clients, columns]``."""
    identity = torch.eye(gradient.shape[1], device=gradient.device)
    step: Tensor = torch.linalg.solve(curvature + ridge * identity, gradient)
    return step
