"""The score MLP of He et al., "Neural collaborative filtering", WWW 2017, on stacked weights.

Its input is ``[state ; item]``. The first layer is applied to both halves apart: states are few
and shared by many samples, so they are projected once.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from ufgraphfr.models.stacked import Params, init_linear, linear


def tower(dim: int) -> tuple[int, ...]:
    """The family's widths for items of ``dim`` numbers: each layer half of the one before."""
    return tuple(max(1, width) for width in (2 * dim, dim, dim // 2, dim // 4, 1))


def init_scorer(sizes: tuple[int, ...], generator: torch.Generator) -> Params:
    """One client's MLP; ``sizes`` are its widths, from input to the single output."""
    params: Params = {}
    for depth, (inputs, outputs) in enumerate(pairwise(sizes)):
        params |= init_linear(f"score.{depth}", inputs, outputs, generator)
    return params


def project_states(params: Params, states: Tensor) -> Tensor:
    """The states' half of the first layer, float ``[clients, states, width]``."""
    dim = states.shape[-1]
    return linear(states, params["score.0.weight"][:, :dim], params["score.0.bias"])


def logits(params: Params, projected: Tensor, items: Tensor, slope: float) -> Tensor:
    """Scores of items in states, before the sigmoid.

    Args:
        params: stacked weights as of `init_scorer`.
        projected: what `project_states` returned for each sample's state, float
            ``[clients, samples or 1, width]``.
        items: float ``[clients, samples, dim]``.
        slope: of the leaky ReLU between the layers for negative inputs; 0 is the ReLU, and 1
            leaves the MLP linear.

    Returns:
        float ``[clients, samples]``.
    """
    dim = items.shape[-1]
    x = torch.baddbmm(projected, items, params["score.0.weight"][:, -dim:])
    depths = sum(name.startswith("score.") and name.endswith(".weight") for name in params)
    for depth in range(1, depths):
        if slope < 1:
            x = F.leaky_relu_(x, slope)
        x = linear(x, params[f"score.{depth}.weight"], params[f"score.{depth}.bias"])
    return x.squeeze(-1)
