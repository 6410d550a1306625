"""Blending the scores of several models for the same user."""

import math

import torch
from torch import Tensor


def standardised(scores: Tensor, out: Tensor | None = None) -> Tensor:
    """z-scores over all items, for each user.

    Args:
        scores: float ``[..., items]``.
        out: where the z-scores go; the scores themselves, if these are not needed any more.

    Returns:
        float of the same shape; zero where a user has the same score everywhere.
    """
    centred = torch.sub(scores, scores.mean(-1, keepdim=True), out=out)
    # several times as fast as torch.std
    length = torch.linalg.vector_norm(centred, dim=-1, keepdim=True)
    return _divided(centred, length / math.sqrt(max(1, scores.shape[-1] - 1)))


def standardised_by_sample(
    scores: Tensor, apart: Tensor, items: int, out: Tensor | None = None
) -> Tensor:
    """z-scores of sampled items and of one item more, as if over the catalogue.

    Each sampled item stands for some of the others, the last for itself alone: without it, a last
    item that is linked where nothing in the sample is would lie at infinity.

    Args:
        scores: float ``[..., sample + 1]``.
        apart: bool ``[...]``, whether the last item is none of the sampled ones.
        items: size of the catalogue.
        out: as in `standardised`.

    Returns:
        float of the same shape; zero where the scores are all the same.
    """
    sample = scores.shape[-1] - 1
    weight = apart.to(scores)[..., None] * (sample / (items - 1))
    total = scores[..., :-1].sum(-1, keepdim=True) + weight * scores[..., -1:]
    centred = torch.sub(scores, total / (sample + weight), out=out)
    drawn = torch.linalg.vector_norm(centred[..., :-1], dim=-1, keepdim=True)
    length = torch.hypot(drawn, weight.sqrt() * centred[..., -1:])
    return _divided(centred, length / (sample + weight - 1).sqrt())


def _divided(centred: Tensor, std: Tensor) -> Tensor:
    """In place; zero over zero is zero."""
    return centred.div_(std.clamp_(min=torch.finfo(centred.dtype).tiny))
