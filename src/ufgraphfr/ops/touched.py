"""Which rows of the item table each client touches, and where each item lies among them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import pointers

LARGE = 8
"""With so many times more items than a client names, sorting what it names is faster than a table
of all items (measured from 2 to 400 times)."""


@dataclass(frozen=True)
class Touched:
    """Distinct items of each client, ascending, as CSR.

    Attributes:
        ptr: int64 ``[clients + 1]``.
        index: int64 ``[rows]``.
        height: the size of the catalogue.
        row_of: int64 ``[clients, items]``, row number of a touched item, counted over all clients;
            None where it would be large.
    """

    ptr: Tensor
    index: Tensor
    height: int
    row_of: Tensor | None = None

    def rows(self, items: Tensor) -> Tensor:
        """int64 ``[clients, n]``: the row of each item; padding (-1) gets some row."""
        items = items.clamp(min=0)
        if self.row_of is not None:
            return self.row_of.gather(1, items)
        return self.rows_of(torch.arange(len(items), device=items.device)[:, None], items)

    def rows_of(self, owner: Tensor, items: Tensor) -> Tensor:
        """The row of each item of each client, int64, in the shape of both together."""
        if self.row_of is not None:
            return self.row_of[owner, items]
        lengths = self.ptr.diff()
        owners = torch.arange(len(lengths), device=items.device).repeat_interleave(lengths)
        place = torch.searchsorted(owners * self.height + self.index, owner * self.height + items)
        return place.clamp_(max=max(0, len(self.index) - 1))


def touched(items: Tensor, height: int) -> Touched:
    """The distinct items of each client.

    Args:
        items: int64 ``[clients, n]``; -1 is padding.
        height: the size of the catalogue.
    """
    if height > LARGE * items.shape[1]:
        return _sorted(items, height)
    clients = len(items)
    mask = torch.zeros(clients, height + 1, dtype=torch.bool, device=items.device)
    # padding marks an extra column that is cut off again
    mask.scatter_(1, torch.where(items < 0, height, items), True)
    mask = mask[:, :height]
    row_of = (mask.flatten().cumsum(0) - 1).clamp(min=0).view(clients, height)
    return Touched(pointers(mask.sum(1)), mask.nonzero()[:, 1], height, row_of)


def _sorted(items: Tensor, height: int) -> Touched:
    """The same without a number for each client and item."""
    clients = torch.arange(len(items) + 1, device=items.device)
    keys = (clients[:-1, None] * height + items)[items >= 0]
    keys = torch.unique_consecutive(keys.sort().values)
    return Touched(torch.searchsorted(keys, clients * height), keys % height, height)
