"""What histories begin with: how many clients have each item at each of the first positions."""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import ranges


def first_item_counts(ptr: Tensor, items: Tensor, n_items: int, positions: int) -> Tensor:
    """Counts over clients.

    Args:
        ptr: int64 ``[clients + 1]``, the clients' places in ``items``, in time order.
        items: int64.
        n_items: how many items there are.
        positions: how many of the first ones count.

    Returns:
        int64 ``[positions, items]``.
    """
    kept = ptr.diff().clamp(max=positions)
    position = ranges(torch.zeros_like(kept), kept)
    cell = position * n_items + items[ranges(ptr[:-1], kept)]
    return torch.bincount(cell, minlength=positions * n_items).view(positions, n_items)


def window_sums(counts: Tensor, width: int) -> Tensor:
    """Sums over ``width`` positions in a row, float ``[positions - width + 1, items]``."""
    before = counts.new_zeros(len(counts) + 1, counts.shape[1], dtype=torch.float32)
    torch.cumsum(counts, 0, out=before[1:])
    return before[width:] - before[:-width]
