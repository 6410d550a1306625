"""The ridge operator of a large catalogue: each item regressed on its nearest items.

EASE (Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019) needs the inverse of
all co-interactions, which is dense. Here an item's row of the inverse is that of its own and its
nearest items' co-interactions: a sparse approximate inverse (Kolotilina & Yeremin, SIAM J. Matrix
Anal. Appl. 14(1), 1993) on the pattern of SLIM with feature selection (Ning & Karypis, ICDM 2011).
"""

import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.graph.pair_rows import Mirrored

_HELD = 2**26
"""Numbers of the submatrices that are gathered in one pass over all pairs."""
_WRITTEN_OUT = 2**20
"""Numbers of rows that are dense at a time: they stay in the processor's cache."""
_SOLVED = 2**22
"""Numbers of the submatrices that are factorised at a time."""


def local_ridge(pairs: Mirrored, index: Tensor, there: Tensor, ridge: float) -> Tensor:
    """Links B_ij = -P_ij / P_jj, P_i a row of (G_i + ridge I)^-1, G_i those of i and its nearest.

    Args:
        pairs: G, the co-interactions, with the diagonal.
        index: int32 ``[items, links]``, from history item to candidate; none is the item itself.
        there: bool ``[items, links]``, which are links.
        ridge: regulariser, positive.

    Returns:
        float32 ``[items, links]``, 0 where there is no link.
    """
    items = len(index)
    everything = torch.arange(items, device=index.device)
    near = torch.cat((everything[:, None], index.long().masked_fill(~there, items)), 1)
    inverse = pairs.own.value.new_empty(near.shape)
    size = near.shape[1] ** 2
    solved = max(1, _SOLVED // size)
    for some in everything.split(max(1, _HELD // size)):
        grams = _submatrices(pairs, near[some])
        for own, part in zip(some.split(solved), grams.split(solved), strict=True):
            inverse[own] = _first_row_of_inverse(part, ridge)
        # before others are gathered
        del grams, part
    diagonal = inverse[:, 0]
    return torch.where(there, -inverse[:, 1:] / diagonal[index.long()], 0)


def _first_row_of_inverse(grams: Tensor, ridge: float) -> Tensor:
    """Of each submatrix, float ``[matrices, size]``.

    Sums that no clients can have made together, as a robust mean may, are not positive definite:
    their items have no links.
    """
    grams.diagonal(dim1=1, dim2=2).add_(ridge)
    factor, failed = torch.linalg.cholesky_ex(grams)
    unit = grams.new_zeros(len(grams), grams.shape[1], 1)
    unit[:, 0] = 1
    nothing = failed[:, None] != 0
    return torch.cholesky_solve(unit, factor)[:, :, 0].where(~nothing, unit[:, :, 0])


def _submatrices(pairs: Mirrored, near: Tensor) -> Tensor:
    """The pairs among each item's nearest.

    Args:
        pairs: of all items.
        near: int64 ``[n, size]``, items; their number is none.

    Returns:
        float32 ``[n, size, size]``.
    """
    items, size = len(pairs), near.shape[1]
    width = items + 1
    item, place = near.flatten().sort()
    found = pairs.own.value.new_empty(near.numel(), size)
    height = max(1, _WRITTEN_OUT // items)
    dense = found.new_zeros(height * width)
    for some, rows, columns, value in pairs.some():
        for first in range(some.start, some.stop, height):
            ends = torch.tensor([first, min(first + height, some.stop)], device=item.device)
            held = slice(*torch.searchsorted(rows, ends).tolist())
            asked = slice(*torch.searchsorted(item, ends).tolist())
            cells = (rows[held] - first) * width + columns[held]
            dense.scatter_(0, cells, value[held])
            own = place[asked]
            among = near[own // size].add_(((item[asked] - first) * width)[:, None])
            found.index_copy_(0, own, dense.index_select(0, among.view(-1)).view(among.shape))
            dense.index_fill_(0, cells, 0)
    found[place[torch.searchsorted(item, items) :]] = 0
    return found.view(len(near), size, size)
