"""Layers on stacked weights: client c's inputs meet client c's weights."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Params = dict[str, Tensor]
"""Weights by name; stacked ``[clients, ...]``, or one client's without that axis."""


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``x @ weight + bias`` for each client.

    Args:
        x: float ``[clients, n, inputs]``.
        weight: float ``[clients, inputs, outputs]``.
        bias: float ``[clients, outputs]``.

    Returns:
        float ``[clients, n, outputs]``.
    """
    return torch.baddbmm(bias[:, None], x, weight)


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Layer normalisation over the last axis of ``[clients, n, dim]``."""
    return torch.addcmul(bias[:, None], F.layer_norm(x, x.shape[-1:]), gain[:, None])


def init_linear(name: str, inputs: int, outputs: int, generator: torch.Generator) -> Params:
    """One client's weight ``[inputs, outputs]`` and bias, uniform in +-1/sqrt(inputs)."""
    bound = 1 / math.sqrt(inputs)
    return {
        f"{name}.weight": torch.empty(inputs, outputs).uniform_(-bound, bound, generator=generator),
        f"{name}.bias": torch.empty(outputs).uniform_(-bound, bound, generator=generator),
    }


def init_norm(name: str, dim: int) -> Params:
    """One client's layer-norm gain and bias."""
    return {f"{name}.gain": torch.ones(dim), f"{name}.bias": torch.zeros(dim)}


def stack(params: Params, clients: int) -> Params:
    """The same weights for each of ``clients`` clients, as separate memory."""
    return {name: value.expand(clients, *value.shape).clone() for name, value in params.items()}
