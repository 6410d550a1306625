"""A sparse item-item operator: each item's strongest links, padded, in memory linear in the items.

``index`` is int32 ``[items, links]``, ascending in each row, and ``value`` float of the same shape,
from history item (the row) to candidate; a value of 0 is no link.
"""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners

_ROWS = 512
"""Rows decoded at a time; bounds memory at ``_ROWS * items`` floats."""


def buckets(items: int, width: int) -> Tensor:
    """A public hash of the items into ``width`` buckets of about equal size, int64 ``[items]``."""
    return torch.randperm(items, generator=torch.Generator().manual_seed(0)) % width


def strongest(
    sketch: Tensor, bucket: Tensor, total: Tensor, shrink: float, links: int
) -> tuple[Tensor, Tensor]:
    """The strongest links of a symmetric matrix N of which each row's buckets are known.

    N_ij is in S[i, h(j)] and in S[j, h(i)], where other items share its bucket. What these add on
    average is taken off (Deng and Rafiei, "New estimation algorithms for streaming data: count-min
    can do more", 2007) and the smaller of the two is believed (Cormode and Muthukrishnan,
    J. Algorithms 55(1), 2005). Then N_ij / (sqrt(n_i n_j) + shrink), as `item_graph.normalised`.

    Args:
        sketch: float ``[items, buckets]``, S, the rows of N summed into buckets.
        bucket: int64 ``[items]``, h.
        total: float ``[items]``, n, how many clients have each item.
        shrink: pulls the links of rare items to zero.
        links: how many to keep of each item, at most.

    Returns:
        ``index`` and ``value``.
    """
    items, width = sketch.shape[0], sketch.shape[1]
    # an item's own weight in a bucket leaves the rest to share it; one bucket for each is exact
    noise = sketch.sum(1, keepdim=True) / width if items > width else sketch.new_zeros(items, 1)
    clean = (sketch - noise) * (width / max(1, width - 1) if items > width else 1.0)
    across = clean.T.contiguous()
    root, parts = total.clamp(min=1).sqrt(), []
    for rows in torch.arange(items, device=sketch.device).split(_ROWS):
        there = clean[rows].index_select(1, bucket)
        near = torch.minimum(there, across[bucket[rows]]).clamp_(min=0).mul_(total > 0)
        near[torch.arange(len(rows)), rows] = 0
        near /= torch.outer(root[rows], root) + shrink
        value, index = near.topk(min(links, items), sorted=False)
        index, order = index.sort(1)
        parts.append((index.int(), value.gather(1, order)))
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def matrix(index: Tensor, value: Tensor, diagonal: Tensor) -> Tensor:
    """The mean of the operator and its transpose with a diagonal, sparse ``[items, items]``."""
    items, links = index.shape
    rows = torch.arange(items, device=index.device)
    from_, to = rows.repeat_interleave(links), index.flatten().long()
    half = value.flatten() / 2
    cells = torch.stack((torch.cat((from_, to, rows)), torch.cat((to, from_, rows))))
    entries = torch.cat((half, half, diagonal))
    size = items, items
    return torch.sparse_coo_tensor(cells, entries, size, check_invariants=True).coalesce()


def propagate_links(
    ptr: Tensor, items: Tensor, weights: Tensor, index: Tensor, value: Tensor
) -> Tensor:
    """Each client's weighted sum of the operator's rows, ``[clients, items]``; see `propagate`."""
    owner, catalogue = owners(ptr, len(items)), len(index)
    scores = value.new_zeros((len(ptr) - 1) * catalogue)
    cell = owner[:, None] * catalogue + index[items]
    scores.index_add_(0, cell.flatten(), (value[items] * weights[:, None].to(value)).flatten())
    return scores.view(-1, catalogue)
