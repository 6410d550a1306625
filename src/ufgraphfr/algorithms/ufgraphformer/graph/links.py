"""A sparse item-item operator: each item's strongest links, padded, in memory linear in the items.

``index`` is int32 ``[items, links]`` and ``value`` float of the same shape, from history item (the
row) to candidate; a value of 0 is no link.
"""

import torch
from torch import Tensor

from ufgraphfr.ops import item_graph


def strongest(
    rows: Tensor, columns: Tensor, value: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Each row's largest entries.

    Args:
        rows: int64 ``[entries]``.
        columns: likewise.
        value: float32 ``[entries]``, positive.
        size: items, and how many links to keep of each at most.

    Returns:
        ``index`` and ``value``.
    """
    items, links = size
    kept = item_graph.strongest(rows, value, links)
    rows = rows[kept]
    position = torch.arange(len(rows), device=rows.device) - torch.searchsorted(rows, rows)
    index = torch.zeros(items, links, dtype=torch.int32, device=rows.device)
    found = value.new_zeros(items, links)
    index[rows, position] = columns[kept].int()
    found[rows, position] = value[kept]
    return index, found
