"""Updates whose matrices travel as products of two thin ones.

The best approximation of a matrix by a product ``left right^T`` with few columns keeps its largest
singular values (Eckart and Young, 1936); a client's few items and states move a model's matrices
in few directions. After Konečný et al., "Federated learning: strategies for improving
communication efficiency", 2016.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.arrays.protocol import Array, ArraySpec, Fault, Layout, Matrix, all_finite


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

    numbers: Array
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
        empty = cls(Dense(values[:, :0]), rank, thin, values.shape[1])
        parts = list[Tensor]()
        for start, rows, columns in thin:
            matrix = values[:, start : start + rows * columns].unflatten(1, (rows, columns))
            parts += [factor.flatten(1) for factor in _factors(matrix, rank)]
        parts += [values[:, start:stop] for start, stop in empty._others()]
        return replace(empty, numbers=Dense(torch.cat(parts, dim=1)))

    @classmethod
    def cat(cls, parts: list["LowRank"], places: Sequence[Tensor]) -> "LowRank":
        """See `Array.cat`."""
        numbers = [part.numbers for part in parts]
        joined = replace(parts[0], numbers=type(numbers[0]).cat(numbers, places))
        parts.clear()
        return joined

    @property
    def clients(self) -> int:
        """See `Array.clients`."""
        return self.numbers.clients

    @property
    def spec(self) -> ArraySpec:
        """See `Array.spec`: the form of the numbers that travel, and what they make up."""
        return replace(self.numbers.spec, layout=self.layout)

    @property
    def layout(self) -> Layout:
        """All but the numbers."""
        return self.rank, self.matrices, self.size

    def select(self, clients: Tensor) -> "LowRank":
        """Some of the clients, int64 ``[n]``, in that order."""
        return replace(self, numbers=self.numbers.select(clients))

    def dense(self) -> Tensor:
        """The numbers, float32 ``[clients, size]``."""
        factors, rest = self._factored()
        values = rest.new_zeros(len(rest), self.size)
        for (start, rows, columns), (left, right) in zip(self.matrices, factors, strict=True):
            values[:, start : start + rows * columns] = (left @ right.mT).flatten(1)
        for (start, stop), part in zip(self._others(), self._spans(rest), strict=True):
            values[:, start:stop] = part
        return values

    def total(self) -> Tensor:
        """The sum over clients, float32 ``[size]``; no client's matrix is written out for it."""
        factors, rest = self._factored()
        total = rest.new_zeros(self.size)
        for (start, rows, columns), (left, right) in zip(self.matrices, factors, strict=True):
            product = torch.einsum("cir,cjr->ij", left, right)
            total[start : start + rows * columns] = product.flatten()
        for (start, stop), part in zip(self._others(), self._spans(rest), strict=True):
            total[start:stop] = part.sum(0)
        return total

    def plain(self) -> Dense:
        """See `Array.plain`."""
        return Dense(self.dense())

    def encoded(self, name: str) -> dict[str, Tensor]:
        """See `Array.encoded`."""
        layout = torch.tensor([(self.rank, self.size, 0), *self.matrices])
        return {f"low/{name}": layout, **self.numbers.encoded(name)}

    def fault(self) -> Fault | None:
        """See `Array.fault`."""
        return self.numbers.fault()

    def is_finite(self) -> bool:
        """See `Array.is_finite`; finite factors may have a product that is not."""
        return all_finite(self.dense())

    def _factored(self) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """Each matrix's left and right, and the rest, ``[clients, n]``."""
        numbers, factors, done = self.numbers.dense().float(), list[tuple[Tensor, Tensor]](), 0
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
