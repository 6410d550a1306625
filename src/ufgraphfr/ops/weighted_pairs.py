"""Two hops of a bipartite graph, from items by users to items, as a sum over users.

G = sum over users u of n_u^-p x_u x_u^T, x_u in {0, 1}^items the history, n_u its length. With
p = 1 no history adds more than 1 in the Frobenius norm.
"""

from torch import Tensor

from ufgraphfr.core.arrays.cells import coalesced
from ufgraphfr.ops.item_graph import co_interactions
from ufgraphfr.ops.item_pairs import pair_cells

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
    weights = ptr.diff().clamp(min=1).float() ** -power
    if n_items > _DENSE_ITEMS:
        cells, sums = pair_cells(ptr, items, n_items, weights, rows)
        return coalesced(cells[None], sums, (len(rows) * n_items,))
    return co_interactions(ptr, items, n_items, rows, weights).flatten()
