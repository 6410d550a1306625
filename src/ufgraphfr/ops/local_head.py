"""A softmax regression for each user on public item features, fitted on the device.

User u's weights maximise ``sum_i a_i log softmax(offset + F w)_i - ridge / 2 |w|^2`` over its
history, a_i the recency of item i: a concave problem of as many unknowns as there are features,
solved by Newton's method.
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
    """Every user's weights.

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
    weights = features.new_zeros(len(history), columns)
    total = history.sum(1, keepdim=True)
    wanted = history @ features
    identity = torch.eye(columns, device=features.device)
    for _ in range(steps):
        chance = torch.softmax(offset + weights @ features.T, dim=1)
        mean = chance @ features
        gradient = wanted - total * mean - ridge * weights
        # covariance of the features under the user's current taste
        spread = torch.einsum("ci,if,ig->cfg", chance, features, features)
        spread = spread - mean[:, :, None] * mean[:, None, :]
        curvature = total[:, :, None] * spread + ridge * identity
        weights = weights + torch.linalg.solve(curvature, gradient)
    return weights
