"""Two hops of a bipartite graph, from items by users to items, as a sum over users.

G = sum over users u of n_u^-p x_u x_u^T, x_u in {0, 1}^items the history, n_u its length. With
p = 1 no history adds more than 1 in the Frobenius norm.
"""

import warnings

import torch
from torch import Tensor

from ufgraphfr.core.arrays.cells import coalesced
from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.ops.item_graph import co_interactions

_DENSE_ITEMS = 5_000
"""Rows of smaller catalogues are multiplied dense, which is faster."""


def weighted_pairs(ptr: Tensor, items: Tensor, n_items: int, power: float, rows: range) -> Tensor:
    """Some rows of the sum over these users.

    Args:
        ptr: int64 ``[users + 1]``, the users' places in ``items``.
        items: int64 ``[interactions]``, distinct within a user.
        n_items: how many items there are.
        power: p, how much less a pair of a long history counts.
        rows: which rows of the matrix.

    Returns:
        float32 ``[rows * items]``: dense, or of a large catalogue sparse and coalesced.
    """
    if n_items > _DENSE_ITEMS:
        return _sparse(ptr, items, n_items, power, rows)
    weights = ptr.diff().clamp(min=1).float() ** -power if power else None
    return co_interactions(ptr, items, n_items, rows, weights).flatten()


def _sparse(ptr: Tensor, items: Tensor, n_items: int, power: float, rows: range) -> Tensor:
    user = owners(ptr, len(items))
    weight = ptr.diff().clamp(min=1).float()[user] ** -power
    inside = (items >= rows.start) & (items < rows.stop)
    left = _matrix(items[inside] - rows.start, user[inside], weight[inside], len(rows), len(ptr))
    right = _matrix(user, items, torch.ones_like(weight), len(ptr), n_items)
    with warnings.catch_warnings():
        # torch passes through a layout that it calls a beta
        warnings.simplefilter("ignore", UserWarning)
        product = torch.sparse.mm(left, right).coalesce()
    row, column = product.indices()
    cells = (row * n_items + column)[None]
    size = (len(rows) * n_items,)
    return coalesced(cells, product.values(), size)


def _matrix(row: Tensor, column: Tensor, value: Tensor, height: int, width: int) -> Tensor:
    cells, size = torch.stack((row, column)), (height, width)
    return torch.sparse_coo_tensor(cells, value, size, check_invariants=False).coalesce()
