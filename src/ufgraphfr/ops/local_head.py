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
    columns = features.shape[1]
    total = history.sum(1, keepdim=True)
    wanted = history @ features
    identity = torch.eye(columns, device=features.device)
    # products of two features, each pair once: one matrix product then sums them for everybody
    one, other = torch.triu_indices(columns, columns, device=features.device)
    products = features[:, one] * features[:, other]

    def step(weights: Tensor, chance: Tensor) -> Tensor:
        """From weights, and each item's chance by them, to where the quadratic model peaks."""
        mean = chance @ features
        # covariance of the features under the user's current taste
        spread = features.new_empty(len(history), columns, columns)
        spread[:, one, other] = spread[:, other, one] = chance @ products
        spread = spread - mean[:, :, None] * mean[:, None, :]
        curvature = total[:, :, None] * spread + ridge * identity
        move: Tensor = torch.linalg.solve(curvature, wanted - total * mean - ridge * weights)
        return move

    def value(weights: Tensor, norm: Tensor) -> Tensor:
        """What is maximised, up to a constant."""
        gained = (wanted * weights).sum(1, keepdim=True) - total * norm
        return gained - ridge / 2 * weights.square().sum(1, keepdim=True)

    best = move = features.new_zeros(len(history), columns)
    reached = features.new_full((len(history), 1), -torch.inf)
    for left in range(steps, -1, -1):
        tried = best + move
        logits = offset + tried @ features.T
        norm = torch.logsumexp(logits, 1, keepdim=True)
        found = value(tried, norm)
        # a step that overshoots is halved, as often as it takes
        worse = found < reached
        best, reached = torch.where(worse, best, tried), torch.maximum(found, reached)
        if left:
            move = torch.where(worse, move / 2, step(tried, (logits - norm).exp()))
    return best
