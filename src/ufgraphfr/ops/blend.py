"""Blending the scores of several models for the same user."""

import math

import torch
from torch import Tensor


def standardised(scores: Tensor) -> Tensor:
    """z-scores over all items, for each user.

    Args:
        scores: float ``[..., items]``.

    Returns:
        float of the same shape; zero where a user has the same score everywhere.
    """
    centred = scores - scores.mean(-1, keepdim=True)
    # several times as fast as torch.std
    length = torch.linalg.vector_norm(centred, dim=-1, keepdim=True)
    std = length / math.sqrt(max(1, scores.shape[-1] - 1))
    # zero over zero is zero
    return centred.div_(std.clamp_(min=torch.finfo(centred.dtype).tiny))
