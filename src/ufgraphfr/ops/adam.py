"""Adam as a function: Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015.

On the server of a federation, the cohort's mean gradient takes the place of a batch's: Reddi et
al., "Adaptive federated optimization", ICLR 2021.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_AT_ONCE = 2**16
"""Numbers."""


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
    after = Moments(torch.empty_like(weights), torch.empty_like(weights), moments.steps + 1)
    stepped = torch.empty_like(weights)
    columns = weights, gradient, moments.first, moments.second, stepped, after.first, after.second
    # what is made on the way stays in the processor's cache
    for part in zip(*(each.split(_AT_ONCE) for each in columns), strict=True):
        old, slope, first, second, new, new_first, new_second = part
        torch.lerp(first, slope, 1 - betas[0], out=new_first)
        torch.lerp(second, slope.square(), 1 - betas[1], out=new_second)
        mean = new_first / (1 - betas[0] ** int(after.steps))
        scale = _inverse_root(new_second, int(after.steps), betas, epsilon)
        torch.sub(old, lr * mean * scale, out=new)
    return stepped, after


def step_scale(
    moments: Moments, betas: tuple[float, float], epsilon: float = 1e-8
) -> Tensor | None:
    """What Adam multiplies a gradient with, float ``[size]``; None before it has seen one."""
    steps = int(moments.steps)
    return None if steps == 0 else _inverse_root(moments.second, steps, betas, epsilon)


def _inverse_root(second: Tensor, steps: int, betas: tuple[float, float], epsilon: float) -> Tensor:
    """1 / (sqrt(second moment without bias) + epsilon)."""
    root = (second / (1 - betas[1] ** steps)).sqrt()
    return 1 / (root + epsilon)
