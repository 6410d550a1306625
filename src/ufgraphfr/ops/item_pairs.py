"""The counts of `item_graph` as lists of what is not zero, in memory linear in it. On the CPU."""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners, pointers, ranges

Counted = tuple[Tensor, Tensor]
"""Cells ``rows.index(row) * n_items + column``, int64 and ascending, and their sums, float32."""


def pair_cells(ptr: Tensor, items: Tensor, n_items: int, weights: Tensor, rows: range) -> Counted:
    """As `item_graph.co_interactions`."""
    row, column, sums = _pairs(ptr, items, n_items, weights, rows)
    return row * n_items + column, sums


def upper_pair_cells(
    ptr: Tensor, items: Tensor, n_items: int, weights: Tensor, rows: range
) -> Counted:
    """The same on and above the diagonal alone."""
    row, column, sums = _pairs(ptr, items, n_items, weights, rows)
    upper = column >= rows.start + row * rows.step
    return (row * n_items + column)[upper], sums[upper]


def _pairs(
    ptr: Tensor, items: Tensor, n_items: int, weights: Tensor, rows: range
) -> tuple[Tensor, Tensor, Tensor]:
    row, ours = _in_block(items, n_items, rows)
    owner = owners(ptr, len(items))
    histories = ptr, items, weights[owner].float()
    return _summed(row, owner[ours], histories, (len(rows), n_items))


def succession_cells(
    ptr: Tensor, items: Tensor, n_items: int, weights: Tensor, rows: range
) -> Counted:
    """As `item_graph.successions`."""
    row, ours = _in_block(items, n_items, rows)
    end = ptr[owners(ptr, len(items))[ours] + 1]
    lengths = (end - ours - 1).clamp(max=len(weights))
    after, begin = ranges(ours + 1, lengths), pointers(lengths)
    gap = torch.arange(len(after), device=items.device) - begin[owners(begin, len(after))]
    followers = begin, items[after], weights[gap]
    places = torch.arange(len(ours), device=items.device)
    row, column, sums = _summed(row, places, followers, (len(rows), n_items))
    return row * n_items + column, sums


def _summed(
    row: Tensor, which: Tensor, lists: tuple[Tensor, Tensor, Tensor], size: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Lists of columns and values, each added to some rows.

    A row is added up in an array of all columns (Gustavson, ACM TOMS 4(3), 1978): sorting what is
    added takes several times as long, and the memory of all of it.

    Args:
        row: int64 ``[n]``, which row a list is added to.
        which: int64 ``[n]``, the list.
        lists: where each begins, int64 ``[lists + 1]``; their columns, int64, and float32 values.
        size: rows and columns.

    Returns:
        Rows and columns, int64, row after row and each from left to right, and the sums.
    """
    # imported where a catalogue is large: it takes a quarter of a second
    from scipy import sparse

    ptr, columns, values = (each.cpu() for each in lists)
    parts = values.numpy(), columns.int().numpy(), ptr.numpy()
    listed = sparse.csr_matrix(parts, shape=(len(ptr) - 1, size[1]))
    to = row.cpu().numpy(), which.cpu().numpy()
    ones = torch.ones(len(row)).numpy()
    sums = sparse.csr_matrix((ones, to), shape=(size[0], len(ptr) - 1)) @ listed
    sums.sort_indices()
    column = torch.from_numpy(sums.indices).long()
    row = owners(torch.from_numpy(sums.indptr).long(), len(column))
    device, found = which.device, torch.from_numpy(sums.data)
    return row.to(device), column.to(device), found.to(device)


def _in_block(items: Tensor, n_items: int, rows: range) -> tuple[Tensor, Tensor]:
    """Places among the rows of a block, and which of the items are in it."""
    inside = torch.zeros(n_items, dtype=torch.bool, device=items.device)
    inside[rows.start : rows.stop : rows.step] = True
    ours = inside[items].nonzero()[:, 0]
    return (items[ours] - rows.start) // rows.step, ours
