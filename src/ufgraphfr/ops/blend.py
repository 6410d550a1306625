"""Blending the scores of several models for the same user."""

import math

import torch
from torch import Tensor


def standardised(scores: Tensor, among: int | None = None, out: Tensor | None = None) -> Tensor:
    """z-scores over all items, for each user.

    Args:
        scores: float ``[..., items]``.
        among: mean and deviation are those of so many first columns; None for all.
        out: where the z-scores go; the scores themselves, if these are not needed any more.

    Returns:
        float of the same shape; zero where a user has the same score everywhere.
    """
    among = scores.shape[-1] if among is None else among
    centred = torch.sub(scores, scores[..., :among].mean(-1, keepdim=True), out=out)
    # several times as fast as torch.std
    length = torch.linalg.vector_norm(centred[..., :among], dim=-1, keepdim=True)
    std = length / math.sqrt(max(1, among - 1))
    return centred.div_(std.clamp_(min=torch.finfo(scores.dtype).tiny))
