"""Which rows of the item table each client touches, and where each item lies among them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import pointers


@dataclass(frozen=True)
class Touched:
    """Distinct items of each client, ascending, as CSR.

    Attributes:
        ptr: int64 ``[clients + 1]``.
        index: int64 ``[rows]``.
        row_of: int64 ``[clients, items]``, row number of a touched item, counted over all clients.
    """

    ptr: Tensor
    index: Tensor
    row_of: Tensor

    def rows(self, items: Tensor) -> Tensor:
        """int64 ``[clients, n]``: the row of each item; padding (-1) gets some row."""
        return self.row_of.gather(1, items.clamp(min=0))


def touched(items: Tensor, height: int) -> Touched:
    """The distinct items of each client.

    Args:
        items: int64 ``[clients, n]``; -1 is padding.
        height: the size of the catalogue.
    """
    clients = len(items)
    mask = torch.zeros(clients, height + 1, dtype=torch.bool, device=items.device)
    # padding marks an extra column that is cut off again
    mask.scatter_(1, torch.where(items < 0, height, items), True)
    mask = mask[:, :height]
    row_of = (mask.flatten().cumsum(0) - 1).clamp(min=0).view(clients, height)
    return Touched(pointers(mask.sum(1)), mask.nonzero()[:, 1], row_of)
