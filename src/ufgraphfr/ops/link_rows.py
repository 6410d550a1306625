"""Histories sent through an item-item operator that is held by its links, row after row."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners, ranges

AT_ONCE = 2**21
"""Pairs of items written out at a time; bounds memory at some 400 MB."""
LONG = 256
"""Links of an item from which they are added as they lie: written out they cost 40 ns each, as they
lie 8 ns and, for each item, some microseconds."""


def propagate_links(
    ptr: Tensor, items: Tensor, weights: Tensor, link_ptr: Tensor, index: Tensor, values: Tensor
) -> Tensor:
    """Each client's weighted sums of the operator's rows at its history items.

    Args:
        ptr: int64 ``[clients + 1]``.
        items: int64 ``[rows]``.
        weights: float ``[sums, rows]``, of the type of ``values``.
        link_ptr: int64 ``[items + 1]``, where each item's links begin.
        index: whole numbers ``[links]``, candidates.
        values: float ``[links]``.

    Returns:
        float ``[sums, clients, items]``.
    """
    clients, n_items = len(ptr) - 1, len(link_ptr) - 1
    starts, lengths = link_ptr[items], link_ptr.diff()[items]
    row = owners(ptr, len(items)) * n_items
    scores = values.new_zeros(len(weights), clients * n_items)
    long, short = (lengths >= LONG).nonzero()[:, 0], (lengths < LONG).nonzero()[:, 0]
    for place, start, length, first in _each(long, starts, lengths, row):
        there, value = index[start : start + length], values[start : start + length]
        for own, weight in zip(scores, weights[:, place].tolist(), strict=True):
            own[first : first + n_items].index_add_(0, there, value, alpha=weight)
    # some links at a time, wherever a history is cut
    for part in bounded(lengths[short]):
        places = short[part]
        count = lengths[places]
        links = ranges(starts[places], count)
        cell = torch.repeat_interleave(row[places], count) + index[links]
        value = values[links]
        for own, weight in zip(scores, weights[:, places], strict=True):
            own.index_add_(0, cell, torch.repeat_interleave(weight, count) * value)
    return scores.view(len(weights), clients, n_items)


def _each(places: Tensor, *columns: Tensor) -> Iterator[tuple[int, ...]]:
    """The places, each with what columns have there, as plain numbers."""
    return zip(places.tolist(), *(column[places].tolist() for column in columns), strict=True)


def bounded(lengths: Tensor) -> Iterator[slice]:
    """Slices of entries whose lengths, int64 ``[n]``, sum to `AT_ONCE` or are one entry's own."""
    ends, first = lengths.cumsum(0), 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        last = int(torch.searchsorted(ends, before + AT_ONCE, right=True))
        last = max(last, first + 1)
        yield slice(first, last)
        first = last
