"""Adam as a function: Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015.

On the server of a federation, the cohort's mean gradient takes the place of a batch's: Reddi et
al., "Adaptive federated optimization", ICLR 2021.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Adam's memory.

    Attributes:
        first: float ``[size]``, running mean of gradients.
        second: float ``[size]``, running mean of their squares.
        steps: int64 ``[1]``, steps taken.
    """

    first: Tensor
    second: Tensor
    steps: Tensor


def adam(
    weights: Tensor,
    gradient: Tensor,
    moments: Moments,
    lr: float,
    betas: tuple[float, float],
    epsilon: float = 1e-8,
) -> tuple[Tensor, Moments]:
    """One step; nothing is modified.

    Args:
        weights: float ``[size]``.
        gradient: float ``[size]``.
        moments: before this step.
        lr: learning rate.
        betas: decay of the first and second moment.
        epsilon: keeps the division finite.

    Returns:
        new weights and moments.
    """
    steps = moments.steps + 1
    first = moments.first.lerp(gradient, 1 - betas[0])
    second = moments.second.lerp(gradient.square(), 1 - betas[1])
    mean = first / (1 - betas[0] ** int(steps))
    after = Moments(first, second, steps)
    return weights - lr * mean * _inverse_root(after, betas, epsilon), after


def step_scale(
    moments: Moments, betas: tuple[float, float], epsilon: float = 1e-8
) -> Tensor | None:
    """What Adam multiplies a gradient with, float ``[size]``; None before it has seen one."""
    return None if int(moments.steps) == 0 else _inverse_root(moments, betas, epsilon)


def _inverse_root(moments: Moments, betas: tuple[float, float], epsilon: float) -> Tensor:
    """1 / (sqrt(second moment without bias) + epsilon)."""
    root = (moments.second / (1 - betas[1] ** int(moments.steps))).sqrt()
    return 1 / (root + epsilon)
