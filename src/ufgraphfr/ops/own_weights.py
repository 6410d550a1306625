"""A softmax regression for each user on the scores of a few models, fitted on the device.

User u's weights maximise ``sum_k log softmax(P_k w)[t_k] - ridge / 2 |w - w0|^2`` over its last
items t_k, P_k what the models said before item k and w0 the weights that all users share: a concave
problem of as many unknowns as there are models, solved by Newton's method.
"""

import torch
from torch import Tensor


def fit_weights(
    parts: Tensor, wanted: Tensor, barred: Tensor, shared: Tensor, ridge: float, steps: int
) -> Tensor:
    """Every user's weights.

    Args:
        parts: float ``[models, clients, places, items]``, P.
        wanted: int64 ``[clients, places]``, t; -1 where there is none.
        barred: bool ``[clients, items]``, items that are not on offer, unless they are wanted.
        shared: float ``[models]``, w0.
        ridge: pulls a user's weights to ``shared``.
        steps: of Newton's method.

    Returns:
        float ``[clients, models]``; ``shared`` for a user without any place.
    """
    target = wanted.clamp(min=0)
    real = (wanted >= 0).to(parts)
    closed = barred[:, None, :].expand(parts.shape[1:]).scatter(2, target[:, :, None], value=False)
    at_target = parts.gather(3, target[None, :, :, None].expand(len(parts), -1, -1, 1))[..., 0]
    weights = shared.expand(parts.shape[1], -1)
    identity = torch.eye(len(parts), device=parts.device)
    for _ in range(steps):
        logits = torch.einsum("cp,pcki->cki", weights, parts).masked_fill(closed, -torch.inf)
        chance = torch.softmax(logits, 2) * real[:, :, None]
        mean = torch.einsum("cki,pcki->pck", chance, parts)
        gradient = ((at_target - mean) * real).sum(2).T - ridge * (weights - shared)
        # covariance of the models' scores under the user's current weights
        spread = torch.einsum("cki,pcki,qcki->cpq", chance, parts, parts)
        spread = spread - torch.einsum("pck,qck->cpq", mean, mean)
        weights = weights + torch.linalg.solve(spread + ridge * identity, gradient)
    return weights
