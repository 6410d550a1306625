"""Blending the scores of several models for the same user."""

import math

import torch
from torch import Tensor


def coefficients(blend: Tensor, priors: Tensor) -> Tensor:
    """The numbers of a blend ``[..., blend]`` that are fitted, before those that are chosen.

    For ``priors`` see `capabilities.Blended`.
    """
    return blend[..., : blend.shape[-1] - priors.shape[1]]


def weighted(parts: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of parts under several choices of weights.

    Args:
        parts: float ``[parts, clients, items]``.
        weights: float ``[choices, clients, parts]``.

    Returns:
        float ``[choices, clients, items]``, no view of the parts.
    """
    # a client's choices are one product; einsum would first write all parts in another order
    return torch.bmm(weights.transpose(0, 1), parts.transpose(0, 1)).transpose(0, 1)


def standardised(scores: Tensor) -> Tensor:
    """z-scores over all items, for each user.

    Args:
        scores: float ``[..., items]``.

    Returns:
        float of the same shape; zero where a user has the same score everywhere.
    """
    found = torch.empty_like(scores)
    standardise(scores, found)
    return found


def standardise(scores: Tensor, out: Tensor) -> None:
    """As `standardised`, written to ``out``, which may be the scores."""
    torch.sub(scores, scores.mean(-1, keepdim=True), out=out)
    # several times as fast as torch.std
    length = torch.linalg.vector_norm(out, dim=-1, keepdim=True)
    std = length / math.sqrt(max(1, scores.shape[-1] - 1))
    # zero over zero is zero
    out.div_(std.clamp_(min=torch.finfo(out.dtype).tiny))
