"""Updates whose matrices travel as products of two thin ones.

The best approximation of a matrix by a product ``left right^T`` with few columns keeps its largest
singular values (Eckart and Young, 1936); a client's few items and states move a model's matrices
in few directions. After Konečný et al., "Federated learning: strategies for improving
communication efficiency", 2016.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from ufgraphfr.core.arrays.quantised import Quantised

Matrix: TypeAlias = tuple[int, int, int]
"""Where a flat array holds a matrix: its first number, its rows and its columns."""


@dataclass(frozen=True)
class LowRank:
    """Flat arrays of some clients.

    Attributes:
        numbers: ``[clients, count]``; of each matrix left ``[rows, rank]`` and right
            ``[columns, rank]``, and then all that is in none, in order.
        rank: columns of left and right.
        matrices: those that travel so, ascending.
        size: of one client's array.
    """

    numbers: Tensor | Quantised
    rank: int
    matrices: tuple[Matrix, ...]
    size: int

    @classmethod
    def of(cls, values: Tensor, matrices: tuple[Matrix, ...], rank: int) -> "LowRank":
        """The best approximations; a matrix that this would not make smaller stays as it is.

        Args:
            values: float ``[clients, size]``.
            matrices: where they hold matrices.
            rank: at most so many directions of each are kept.
        """
        thin = tuple(m for m in matrices if rank * (m[1] + m[2]) < m[1] * m[2])
        empty = cls(values[:, :0], rank, thin, values.shape[1])
        parts = list[Tensor]()
        for start, rows, columns in thin:
            matrix = values[:, start : start + rows * columns].unflatten(1, (rows, columns))
            parts += [factor.flatten(1) for factor in _factors(matrix, rank)]
        parts += [values[:, start:stop] for start, stop in empty._others()]
        return replace(empty, numbers=torch.cat(parts, dim=1))

    @classmethod
    def cat(cls, parts: list["LowRank"]) -> "LowRank":
        """Several clients' arrays of one layout, one after the other."""
        coarse = [part.numbers for part in parts if isinstance(part.numbers, Quantised)]
        dense = [part.numbers for part in parts if isinstance(part.numbers, Tensor)]
        return replace(parts[0], numbers=Quantised.cat(coarse) if coarse else torch.cat(dense))

    @property
    def layout(self) -> tuple[int, tuple[Matrix, ...], int]:
        """All but the numbers."""
        return self.rank, self.matrices, self.size

    def select(self, places: Tensor) -> "LowRank":
        """Some of the clients, int64 ``[n]``, in that order."""
        numbers = self.numbers
        some = numbers[places] if isinstance(numbers, Tensor) else numbers.select(places)
        return replace(self, numbers=some)

    def dense(self) -> Tensor:
        """The numbers, float32 ``[clients, size]``."""
        factors, rest = self._taken_apart()
        values = rest.new_zeros(len(rest), self.size)
        for (start, rows, columns), (left, right) in zip(self.matrices, factors, strict=True):
            values[:, start : start + rows * columns] = (left @ right.mT).flatten(1)
        for (start, stop), part in zip(self._others(), self._spans(rest), strict=True):
            values[:, start:stop] = part
        return values

    def total(self) -> Tensor:
        """The sum over clients, float32 ``[size]``; no client's matrix is written out for it."""
        factors, rest = self._taken_apart()
        total = rest.new_zeros(self.size)
        for (start, rows, columns), (left, right) in zip(self.matrices, factors, strict=True):
            product = torch.einsum("cir,cjr->ij", left, right)
            total[start : start + rows * columns] = product.flatten()
        for (start, stop), part in zip(self._others(), self._spans(rest), strict=True):
            total[start:stop] = part.sum(0)
        return total

    def _taken_apart(self) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """Each matrix's left and right, and the rest, ``[clients, n]``."""
        numbers = self.numbers.dense() if isinstance(self.numbers, Quantised) else self.numbers
        numbers, factors, done = numbers.float(), list[tuple[Tensor, Tensor]](), 0
        for _, rows, columns in self.matrices:
            middle, end = done + rows * self.rank, done + (rows + columns) * self.rank
            left, right = numbers[:, done:middle], numbers[:, middle:end]
            factors.append((left.unflatten(1, (rows, -1)), right.unflatten(1, (columns, -1))))
            done = end
        return factors, numbers[:, done:]

    def _others(self) -> list[tuple[int, int]]:
        """What lies in no matrix: first number, and the one after the last."""
        ends = [start + rows * columns for start, rows, columns in self.matrices]
        starts = [start for start, _, _ in self.matrices]
        return list(zip([0, *ends], [*starts, self.size], strict=True))

    def _spans(self, rest: Tensor) -> tuple[Tensor, ...]:
        sizes = [stop - start for start, stop in self._others()]
        parts: tuple[Tensor, ...] = rest.split(sizes, dim=1)
        return parts


def _factors(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """``left`` and ``right`` of matrices ``[clients, rows, columns]``."""
    if matrix.shape[2] > matrix.shape[1]:
        right, left = _factors(matrix.mT, rank)
        return left, right
    # the singular vectors of the shorter side, from its small Gram matrix
    gram = matrix.mT.double() @ matrix.double()
    right = torch.linalg.eigh(gram).eigenvectors[..., -rank:].to(matrix)
    return matrix @ right, right
