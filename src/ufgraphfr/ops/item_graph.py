"""Item-item counts, which are sums over clients of small contributions, and operators from them.

Co-interactions: G = sum over clients of x x^T, x in {0, 1}^items the client's history.
Successions: D[i, j] = sum over clients of w(gap), where j stands ``gap`` positions after i.
"""

from typing import Protocol

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners


class Symmetric(Protocol):
    """A symmetric matrix."""

    @property
    def device(self) -> torch.device:
        """Where it is."""

    @property
    def dtype(self) -> torch.dtype:
        """Of its values."""

    def __len__(self) -> int:
        """How many rows it has."""

    def __matmul__(self, vectors: Tensor) -> Tensor:
        """Times float ``[rows, dim]``."""

    def __rmatmul__(self, vectors: Tensor) -> Tensor:
        """Float ``[dim, rows]`` times it."""


_CHUNK = 1024
"""Clients written out dense at a time; bounds memory at ``_CHUNK * items`` floats."""
_SPARE, _SWEEPS = 16, 8
"""More directions than asked for, and sweeps, with which subspace iteration is accurate."""


def co_interactions(
    ptr: Tensor,
    items: Tensor,
    n_items: int,
    rows: range | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """How many clients have both items.

    Args:
        ptr: int64 ``[clients + 1]``, the clients' places in ``items``.
        items: int64 ``[rows]``, distinct within a client.
        n_items: how many items there are.
        rows: only these rows of the matrix; None for all.
        weights: ``[clients]``, how much each counts; None for all alike.

    Returns:
        float32 ``[rows, catalogue]``, of whole numbers exact below 2**24; the whole matrix is
        symmetric.
    """
    rows = range(n_items) if rows is None else rows
    gram = torch.zeros(len(rows), n_items, device=items.device)
    for first in range(0, len(ptr) - 1, _CHUNK):
        bounds = ptr[first : first + _CHUNK + 1]
        chunk = items[int(bounds[0]) : int(bounds[-1])]
        dense = gram.new_zeros(len(bounds) - 1, n_items)
        dense[owners(bounds, len(chunk)), chunk] = 1
        counted = dense[:, rows.start : rows.stop : rows.step]
        if weights is not None:
            counted = counted * weights[first : first + _CHUNK, None].to(dense)
        gram.addmm_(counted.T, dense)
    return gram


def successions(
    ptr: Tensor, items: Tensor, n_items: int, weights: Tensor, rows: range | None = None
) -> Tensor:
    """How often one item follows another in the clients' histories, the sooner the more.

    Args:
        ptr: int64 ``[clients + 1]``, the clients' places in ``items``.
        items: int64 ``[rows]``, in time order, distinct within a client.
        n_items: how many items there are.
        weights: float ``[reach]``, of an item 1, 2, ... positions later.
        rows: only these rows of the matrix; None for all.

    Returns:
        float32 ``[rows, catalogue]``, from an item to those after it; zero on the diagonal.
    """
    rows = range(n_items) if rows is None else rows
    owner = owners(ptr, len(items))
    place = torch.full((n_items,), -1, device=items.device)
    place[rows.start : rows.stop : rows.step] = torch.arange(len(rows), device=items.device)
    counts = torch.zeros(len(rows) * n_items, device=items.device)
    for gap, weight in enumerate(weights.tolist(), start=1):
        row = place[items[:-gap]]
        ours = (owner[:-gap] == owner[gap:]) & (row >= 0)
        pair = row[ours] * n_items + items[gap:][ours]
        counts.index_add_(0, pair, counts.new_full((len(pair),), weight))
    return counts.view(len(rows), n_items)


def ridge_inverse(gram: Tensor, ridge: float) -> Tensor:
    """(G + ridge I)^-1, float64 ``[items, items]``."""
    regular = gram.double()
    regular.diagonal().add_(ridge)
    # it comes column by column, where a resumed run, and all that gathers rows, has them by row
    return torch.cholesky_inverse(torch.linalg.cholesky(regular)).contiguous()


def normalised(counts: Tensor, total: Tensor, shrink: float) -> Tensor:
    """M_ij = T_ij / (sqrt(n_i n_j) + shrink).

    Args:
        counts: float ``[items, items]``, T, transitions or co-occurrence.
        total: ``[items]``, n, how many clients have each item.
        shrink: pulls the links of rare items to zero.

    Returns:
        float32 ``[items, items]``, from history item to candidate.
    """
    # an item nobody has has no links either
    root = total.clamp(min=1).float().sqrt()
    return counts.float() / (torch.outer(root, root) + shrink)


def spectral(operator: Symmetric, dim: int, generator: torch.Generator) -> Tensor:
    """Vectors whose inner products approximate a symmetric operator, turned at random.

    The random rotation spreads the eigenvectors evenly over the coordinates.

    Args:
        operator: ``[items, items]``, symmetric, a tensor or what multiplies as one.
        dim: length of the vectors; what exceeds ``items`` is zero before the rotation.
        generator: of the start and the rotation, on the CPU.

    Returns:
        float32 ``[items, dim]``, V with V V^T the part of ``operator`` with the largest positive
        eigenvalues.
    """
    vectors, value = largest(operator, dim, generator)
    best = torch.nn.functional.pad(vectors * value.clamp(min=0).sqrt(), (0, dim - len(value)))
    rotation = torch.linalg.qr(torch.randn(dim, dim, generator=generator)).Q
    turned: Tensor = best @ rotation.to(best)
    return turned


def largest(operator: Symmetric, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Eigenvectors ``[items, count]`` with the largest eigenvalues, and these.

    Subspace iteration: Halko, Martinsson, Tropp, SIAM Review 53(2), 2011.

    Args:
        operator: ``[items, items]``, symmetric, a tensor or what multiplies as one.
        count: how many; at most the items.
        generator: of the start, on the CPU.
    """
    items = len(operator)
    start = torch.randn(items, min(items, count + _SPARE), generator=generator)
    basis = start.to(operator.device, operator.dtype)
    for _ in range(_SWEEPS):
        basis = torch.linalg.qr(operator @ basis).Q
    value, turn = torch.linalg.eigh(operator.__rmatmul__(basis.T) @ basis)
    vectors: Tensor = basis @ turn[:, -count:]
    return vectors, value[-count:]


def smoothest(operator: Symmetric, rank: int) -> Tensor:
    """Eigenvectors of the largest eigenvalues, float ``[items, rank]``, zero beyond ``items``."""
    vectors, _ = largest(operator, rank, torch.Generator().manual_seed(0))
    return torch.nn.functional.pad(vectors, (0, rank - vectors.shape[1]))


def strongest(row: Tensor, values: Tensor, count: int) -> Tensor:
    """The places of each row's largest entries, of equal ones the first, row after row.

    Args:
        row: int64 ``[entries]``, in any order.
        values: float32 ``[entries]``, positive.
        count: how many of each row.

    Returns:
        int64, places in ``row`` and ``values``; within a row the largest value comes first.
    """
    # positive floats are in the order of their bits: one sort for rows and values
    falling = torch.iinfo(torch.int32).max - values.view(torch.int32).long()
    order = ((row << 32) + falling).argsort(stable=True)
    row = row[order]
    place = torch.arange(len(row), device=row.device) - torch.searchsorted(row, row)
    return order[place < count]
