"""Blending the scores of several models for the same user."""

import torch
from torch import Tensor


def standardised(scores: Tensor) -> Tensor:
    """z-scores over all items, for each user.

    Args:
        scores: float ``[..., items]``.

    Returns:
        float of the same shape; zero where a user has the same score everywhere.
    """
    std, mean = torch.std_mean(scores, dim=-1, keepdim=True)
    return (scores - mean) / std.clamp(min=torch.finfo(scores.dtype).tiny)
