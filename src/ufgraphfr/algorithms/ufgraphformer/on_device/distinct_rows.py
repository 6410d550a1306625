"""Item features as they are asked for again and again: each distinct row once, and only numbers.

Many items share a row (a genre and a year), and most columns of most rows are empty (one of two
hundred authors). Sums over items need neither the repetitions nor the zeros.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import pointers
from ufgraphfr.ops.recency import propagate

MOST_FILLED = 0.1
"""The largest share of numbers that are not zero at which sparse products are the faster ones; at
.01 they take a twentieth of the time."""


@dataclass(frozen=True)
class Compressed:
    """A mostly empty matrix: what it has, row after row.

    Attributes:
        value: float ``[numbers]``.
        column: int64 ``[numbers]``, of each number.
        ptr: int64 ``[rows + 1]``, where each row begins.
    """

    value: Tensor
    column: Tensor
    ptr: Tensor

    @classmethod
    def of(cls, matrix: Tensor) -> "Compressed":
        """What ``matrix``, float ``[rows, columns]``, has."""
        row, column = matrix.nonzero(as_tuple=True)
        return cls(matrix[row, column], column, pointers(row.bincount(minlength=len(matrix))))

    def __matmul__(self, other: Tensor) -> Tensor:
        """The product with a matrix that is full, float ``[rows, others]``."""
        # as fast as torch's sparse product, which not every build has
        return propagate(self.ptr, self.column, self.value, other)


@dataclass(frozen=True)
class DistinctRows:
    """A table's distinct rows, and which row is which item's.

    Attributes:
        rows: float ``[rows, columns]``.
        turned: the same, ``[columns, rows]``.
        row: int64 ``[items]``, each item's.
    """

    rows: Tensor | Compressed
    turned: Tensor | Compressed
    row: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "DistinctRows":
        """The distinct rows of ``features``, float ``[items, columns]``."""
        first, row = _grouped(features)
        rows = features[first]
        if rows.count_nonzero() < MOST_FILLED * rows.numel():
            return cls(Compressed.of(rows), Compressed.of(rows.T), row)
        return cls(rows, rows.T.contiguous(), row)

    def products(self, weights: Tensor) -> Tensor:
        """Of each distinct row with each user's weights ``[columns, users]``: ``[rows, users]``."""
        return self.rows @ weights

    def summed(self, mass: Tensor) -> Tensor:
        """Rows weighed and added up, ``[columns, users]``; weights are ``[rows, users]``."""
        return self.turned @ mass

    def log_sums(self, offset: Tensor) -> Tensor:
        """The logarithm of the sum of exp(offset) over each row's items, float ``[rows]``."""
        peak, rows = offset.max(), int(self.row.max()) + 1
        mass = self.row.bincount((offset.double() - peak).exp(), minlength=rows)
        return (mass.log() + peak).to(offset.dtype)


def _grouped(features: Tensor) -> tuple[Tensor, Tensor]:
    """An item of each distinct row, int64 ``[rows]``, and each item's row, int64 ``[items]``."""
    # minus zero is zero
    bits = (features + 0).view({4: torch.int32, 8: torch.int64}[features.itemsize])
    generator = torch.Generator().manual_seed(0)
    odd = torch.randint(2**62, (features.shape[1],), generator=generator) * 2 + 1
    # whole numbers wrap and have no rounding: equal rows have equal marks
    _, row = (bits * odd.to(bits.device)).sum(1).unique(return_inverse=True)
    items = torch.arange(len(features), device=features.device)
    first = torch.empty(int(row.max()) + 1 if len(row) else 0, dtype=torch.int64).to(items)
    first[row] = items
    if torch.equal(features[first][row], features):
        return first, row
    # different rows had the same mark, once in a million tables: every item has its own row
    return items, items
