"""What people begin with: how many have each item at each of the first places of their history."""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import ranges


def beginnings(ptr: Tensor, items: Tensor, n_items: int, places: int) -> Tensor:
    """Counts over clients.

    Args:
        ptr: int64 ``[clients + 1]``, who has which of ``items``, in time order.
        items: int64.
        n_items: how many items there are.
        places: how many of the first ones count.

    Returns:
        int64 ``[places, items]``.
    """
    kept = ptr.diff().clamp(max=places)
    place = ranges(torch.zeros_like(kept), kept)
    cell = place * n_items + items[ranges(ptr[:-1], kept)]
    return torch.bincount(cell, minlength=places * n_items).view(places, n_items)


def windows(counts: Tensor, width: int) -> Tensor:
    """Sums over ``width`` places in a row, float ``[places - width + 1, items]``."""
    before = counts.new_zeros(len(counts) + 1, counts.shape[1], dtype=torch.float32)
    torch.cumsum(counts, 0, out=before[1:])
    return before[width:] - before[:-width]
