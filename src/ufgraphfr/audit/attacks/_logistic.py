"""Logistic regression by Newton's method: a few features, many rows.

It is not the flagship's softmax regression: there users who each have weights of their own share
the candidates, here each row has features of its own and one vector of weights fits them all.
"""

import torch
from torch import Tensor


def fit_logistic(x: Tensor, labels: Tensor, ridge: float = 1e-3, steps: int = 30) -> Tensor:
    """Weights that minimise the mean log loss plus ``ridge / 2 |w|^2``; the intercept is free.

    Args:
        x: float64 ``[rows, features]``.
        labels: float64 ``[rows]``, 0 or 1.
        ridge: keeps separable classes finite.
        steps: of Newton's method.

    Returns:
        float64 ``[features + 1]``, the intercept last.
    """
    wide = torch.cat((x, x.new_ones(len(x), 1)), dim=1)
    weights = wide.new_zeros(wide.shape[1])
    penalty = torch.full_like(weights, ridge)
    penalty[-1] = 0
    for _ in range(steps):
        chance = torch.sigmoid(wide @ weights)
        gradient = wide.T @ (chance - labels) / len(x) + penalty * weights
        curvature = (wide.T * (chance * (1 - chance))) @ wide / len(x)
        curvature += torch.diag(penalty + 1e-9)
        step = torch.linalg.solve(curvature, gradient)
        # a long step may overshoot where classes are nearly separable
        weights = weights - step * min(1.0, 5.0 / float(step.norm().clamp(min=1e-12)))
    return weights
