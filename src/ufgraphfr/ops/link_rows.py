"""Histories sent through an item-item operator that is held by its links, row after row."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners, ranges

AT_ONCE = 2**21
"""Pairs of items written out at a time; bounds memory at some 400 MB."""


def propagate_links(
    ptr: Tensor, items: Tensor, weights: Tensor, link_ptr: Tensor, index: Tensor, values: Tensor
) -> Tensor:
    """Each client's weighted sum of the operator's rows at its history items.

    Args:
        ptr: int64 ``[clients + 1]``.
        items: int64 ``[rows]``.
        weights: float ``[rows]``, of the type of ``values``.
        link_ptr: int64 ``[items + 1]``, where each item's links begin.
        index: whole numbers ``[links]``, candidates.
        values: float ``[links]``.

    Returns:
        float ``[clients, items]``.
    """
    clients, n_items = len(ptr) - 1, len(link_ptr) - 1
    starts, lengths = link_ptr[items], link_ptr.diff()[items]
    row = owners(ptr, len(items)) * n_items
    scores = values.new_zeros(clients * n_items)
    # rows of popular items are long: some links at a time, wherever a history is cut
    for part in bounded(lengths):
        links, count = ranges(starts[part], lengths[part]), lengths[part]
        place = torch.repeat_interleave(row[part], count) + index[links]
        weight = torch.repeat_interleave(weights[part], count)
        scores.index_add_(0, place, weight * values[links])
    return scores.view(clients, n_items)


def bounded(lengths: Tensor) -> Iterator[slice]:
    """Slices of entries whose lengths, int64 ``[n]``, sum to `AT_ONCE` or are one entry's own."""
    ends, first = lengths.cumsum(0), 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        last = int(torch.searchsorted(ends, before + AT_ONCE, right=True))
        last = max(last, first + 1)
        yield slice(first, last)
        first = last
