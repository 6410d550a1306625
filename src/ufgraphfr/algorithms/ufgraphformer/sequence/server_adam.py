"""The server's side of training shared weights: Adam on the cohort's mean, and a running mean.

The arrays of the server's memory are ``net``, ``net.mean``, ``net.first``, ``net.second`` and
``net.steps``, or have another name in place of ``net``.
"""

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.core.messages import State
from ufgraphfr.core.spec import Spec
from ufgraphfr.ops.adam import Moments, adam, step_scale

_MOMENTS = "first", "second", "steps"


class ServerAdam(Spec):
    """Hyper-parameters of the server's steps; the ``[algorithm.adam]`` table."""

    lr: float = Field(5e-4, gt=0)
    """Learning rate after the warm-up."""
    warmup: int = Field(20, ge=1)
    """Steps over which the learning rate grows to its value."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay of the running moments of the gradient."""
    average: float = Field(0.99, ge=0, lt=1)
    """Decay of the running mean of the weights, which is what is evaluated."""

    @staticmethod
    def names(name: str = "net") -> frozenset[str]:
        """Of the arrays that a step changes."""
        return frozenset({name, *(f"{name}.{part}" for part in ("mean", *_MOMENTS))})

    def begun(self, net: Tensor, name: str = "net") -> State:
        """The memory before the first step, from weights ``[size]``."""
        zero = torch.zeros_like(net)
        steps = torch.zeros(1, dtype=torch.int64)
        state = {name: net, f"{name}.mean": net, f"{name}.first": zero, f"{name}.second": zero}
        return state | {f"{name}.steps": steps}

    def stepped(self, state: State, gradient: Tensor, name: str = "net") -> State:
        """The memory after one step along the cohort's mean gradient, ``[size]``."""
        moments = _moments(state, name)
        lr = self.lr * min(1.0, (int(moments.steps) + 1) / self.warmup)
        net, moments = adam(state[name], gradient, moments, lr, self.betas)
        return state | {
            name: net,
            f"{name}.mean": state[f"{name}.mean"].lerp(net, 1 - self.average),
            f"{name}.first": moments.first,
            f"{name}.second": moments.second,
            f"{name}.steps": moments.steps,
        }

    def local_scale(self, state: State) -> Tensor:
        """What devices scale their own steps with, ``[size]``; zero before the first step."""
        scale = step_scale(_moments(state, "net"), self.betas)
        return torch.zeros_like(state["net"]) if scale is None else scale


def _moments(state: State, name: str) -> Moments:
    return Moments(*(state[f"{name}.{part}"] for part in _MOMENTS))
