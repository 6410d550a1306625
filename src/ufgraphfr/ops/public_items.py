"""What is publicly known of items as columns that a device can fit its taste on."""

import torch
from torch import Tensor

TEXT_COLUMNS = 32
"""Principal components of the embedded item texts."""
LESS = 0.7
"""Weight of the texts and of popularity beside the other features."""
CENTRES = torch.linspace(-2.0, 2.5, 10)
"""Of popularity, in standard deviations from its mean."""


def item_columns(items: int, features: Tensor | None, text: Tensor | None) -> Tensor:
    """Public features beside the principal components of item texts, float ``[items, columns]``.

    Args:
        items: how many there are.
        features: float ``[items, any]``, rows of length one, or None.
        text: float ``[items, width]``, embedded texts, or None.
    """
    parts = [torch.zeros(items, 0)]
    if features is not None:
        parts.append(features)
    if text is not None:
        left, size, _ = torch.linalg.svd(text - text.mean(0), full_matrices=False)
        components = left[:, :TEXT_COLUMNS] * size[:TEXT_COLUMNS]
        parts.append(LESS * components / components.norm(dim=1).mean())
    return torch.cat(parts, 1)


def narrowed(columns: Tensor, width: int) -> Tensor:
    """The first principal components of items' columns, no row longer than one.

    Args:
        columns: float ``[items, any]``.
        width: how many components.

    Returns:
        float ``[items, width]``, zeros where there are fewer columns.
    """
    left, size, _ = torch.linalg.svd(columns - columns.mean(0), full_matrices=False)
    kept = min(width, left.shape[1])
    components = columns.new_zeros(len(columns), width)
    components[:, :kept] = left[:, :kept] * size[:kept]
    longest: Tensor = components.norm(dim=1).amax()
    return components / longest.clamp(min=1e-12)


def closeness(popularity: Tensor) -> Tensor:
    """How close each item's (log) popularity is to each of ten levels, rows of one length.

    Args:
        popularity: float ``[items]``.

    Returns:
        float ``[items, 10]``.
    """
    std, mean = torch.std_mean(popularity)
    level = (popularity - mean) / std.clamp(min=1e-9)
    near = (-2 * (level[:, None] - CENTRES.to(level.device)).square()).exp()
    return LESS * torch.nn.functional.normalize(near, dim=1)
