"""The server's side of training shared weights: Adam on the cohort's mean, and a running mean.

The arrays of the server's memory are ``net``, ``net.mean``, ``net.first``, ``net.second`` and
``net.steps``.
"""

import torch
from torch import Tensor

from ufgraphfr.core.messages import State
from ufgraphfr.ops.adam import Moments, adam, step_scale


def begun(net: Tensor) -> State:
    """The memory before the first step, from weights ``[size]``."""
    zero = torch.zeros_like(net)
    steps = torch.zeros(1, dtype=torch.int64)
    state = {"net": net, "net.mean": net, "net.first": zero, "net.second": zero}
    return state | {"net.steps": steps}


def stepped(
    state: State,
    gradient: Tensor,
    lr: float,
    warmup: int,
    betas: tuple[float, float],
    average: float,
) -> State:
    """The memory after one step.

    Args:
        state: before it.
        gradient: float ``[size]``, the cohort's mean.
        lr: learning rate after the warm-up.
        warmup: steps over which it grows.
        betas: decay of Adam's moments.
        average: decay of the running mean of the weights.
    """
    moments = _moments(state)
    now = lr * min(1.0, (int(moments.steps) + 1) / warmup)
    net, moments = adam(state["net"], gradient, moments, now, betas)
    return state | {
        "net": net,
        "net.mean": state["net.mean"].lerp(net, 1 - average),
        "net.first": moments.first,
        "net.second": moments.second,
        "net.steps": moments.steps,
    }


def local_scale(state: State, betas: tuple[float, float]) -> Tensor:
    """What devices scale their own steps with, float ``[size]``; zero before the first step."""
    scale = step_scale(_moments(state), betas)
    return torch.zeros_like(state["net"]) if scale is None else scale


def _moments(state: State) -> Moments:
    return Moments(state["net.first"], state["net.second"], state["net.steps"])
