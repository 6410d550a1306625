"""What is publicly known of items, as columns that a device can fit its user's preference on."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ufgraphfr.core.arrays.memo import memo

TEXT_COLUMNS = 32
"""Principal components of the embedded item texts."""
LESS = 0.7
"""Weight of the texts and of popularity beside the other features."""
TITLE_COLUMNS = 128
"""Principal components of the item texts by which two items are told to be alike."""
SHARPNESS = 10.0
"""Similarity falls by e for each tenth that the cosine of two texts does."""
_BLOCK = 2048
"""Items whose similarity to all others is worked out at once; bounds memory at items * _BLOCK."""
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
        components = _principal(text, TEXT_COLUMNS)
        parts.append(LESS * components / components.norm(dim=1).mean())
    return torch.cat(parts, 1)


def titles(items: int, text: Tensor | None) -> Tensor:
    """Item texts as rows of length one, float ``[items, columns]``; no columns without texts."""
    if text is None:
        return torch.zeros(items, 0)
    return torch.nn.functional.normalize(_principal(text, TITLE_COLUMNS), dim=1)


def text_similarity(history: Tensor, rows: Tensor) -> Tensor:
    """How similar a history's texts are to each item's: one step over a public graph of items.

    The link from i to j is exp(s (cos_ij - 1)) over the root of the sum of j's links, so that an
    item that is like many is not above one that is like a few. No item is linked to itself.

    Args:
        history: float ``[clients, items]``, weights of the items in it.
        rows: float ``[items, columns]``, see `titles`.

    Returns:
        float ``[clients, items]``.
    """
    # what nobody has links to nothing here
    held = history.any(0).nonzero()[:, 0]
    weights, roots = history[:, held], _root_sums(rows).split(_BLOCK)
    blocks = zip(_text_links(rows, held), roots, strict=True)
    return torch.cat([weights @ links / root for links, root in blocks], 1)


def text_links_sums(rows: Tensor) -> Tensor:
    """The sum of the links to each item, see `text_similarity`, float ``[items]``."""
    everything = torch.arange(len(rows), device=rows.device)
    return torch.cat([links.sum(0) for links in _text_links(rows, everything)])


@memo
def _root_sums(rows: Tensor) -> Tensor:
    """Their roots, of a catalogue that is asked about again and again."""
    return text_links_sums(rows).sqrt().clamp(min=1e-12)


def _text_links(rows: Tensor, held: Tensor) -> Iterator[Tensor]:
    """Links from some items to blocks of all, float ``[held, some]``, until all had their turn."""
    own = SHARPNESS * rows[held]
    for first in range(0, len(rows), _BLOCK):
        block = rows[first : first + _BLOCK]
        links = (own @ block.T).sub_(SHARPNESS).exp_()
        inside = ((held >= first) & (held < first + len(block))).nonzero()[:, 0]
        links[inside, held[inside] - first] = 0
        yield links


def _principal(text: Tensor, count: int) -> Tensor:
    """The first principal components, float ``[items, at most count]``."""
    left, size, _ = torch.linalg.svd(text - text.mean(0), full_matrices=False)
    components: Tensor = left[:, :count] * size[:count]
    return components


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


def popularity_levels(popularity: Tensor) -> Tensor:
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
