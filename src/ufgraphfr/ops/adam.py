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
    scale = (second / (1 - betas[1] ** int(steps))).sqrt() + epsilon
    return weights - lr * mean / scale, Moments(first, second, steps)
