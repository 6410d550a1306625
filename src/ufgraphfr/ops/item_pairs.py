"""The counts of `item_graph` as lists of what is not zero, in memory linear in it."""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners, ranges

Counted = tuple[Tensor, Tensor]
"""Cells ``rows.index(row) * n_items + column``, int64 and ascending, and their sums, float32."""


def pair_cells(ptr: Tensor, items: Tensor, n_items: int, rows: range) -> Counted:
    """As `item_graph.co_interactions`; on and above the diagonal alone."""
    owner = owners(ptr, len(items))
    row, ours = _in_block(items, rows)
    lengths = ptr.diff()[owner[ours]]
    column = items[ranges(ptr[owner[ours]], lengths)]
    row = torch.repeat_interleave(row, lengths, output_size=len(column))
    cells = (row * n_items + column)[column >= rows.start + row * rows.step]
    found, counts = cells.unique(return_counts=True)
    return found, counts.float()


def succession_cells(
    ptr: Tensor, items: Tensor, n_items: int, weights: Tensor, rows: range
) -> Counted:
    """As `item_graph.successions`."""
    owner = owners(ptr, len(items))
    row, ours = _in_block(items, rows)
    cells, added = [row[:0]], [weights[:0]]
    for gap, weight in enumerate(weights, start=1):
        inside = ours < len(items) - gap
        first = ours[inside]
        follows = owner[first] == owner[first + gap]
        cells.append(row[inside][follows] * n_items + items[first + gap][follows])
        added.append(weight.expand(len(cells[-1])))
    found, place = torch.cat(cells).unique(return_inverse=True)
    sums = weights.new_zeros(len(found)).index_add_(0, place, torch.cat(added))
    return found, sums


def _in_block(items: Tensor, rows: range) -> tuple[Tensor, Tensor]:
    """Places among the rows of a block, and which of the items are in it."""
    beyond = items - rows.start
    ours = ((beyond >= 0) & (items < rows.stop) & (beyond % rows.step == 0)).nonzero()[:, 0]
    return beyond[ours] // rows.step, ours
