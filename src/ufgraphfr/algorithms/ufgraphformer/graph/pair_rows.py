"""Sums over pairs of items as rows of what is not zero, of which some are written out at a time.

A large catalogue has millions of pairs. Here each takes eight bytes. What is made of them takes
many more, so it is made of about `ops.link_rows.AT_ONCE` pairs at a time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.graph import links
from ufgraphfr.core.arrays.sparse_rows import owners, pointers, ranges
from ufgraphfr.ops.link_rows import bounded
from ufgraphfr.ops.recency import propagate

Weight = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From rows, columns and values to what becomes of the values."""


@dataclass(frozen=True)
class PairRows:
    """A sparse matrix ``[rows, items]``, row after row and each from left to right.

    Attributes:
        ptr: int64 ``[rows + 1]``, where each row begins.
        index: int32 ``[pairs]``, the columns.
        value: float32 ``[pairs]``.
    """

    ptr: Tensor
    index: Tensor
    value: Tensor

    @classmethod
    def of(cls, order: Tensor, held: Tensor, index: Tensor, value: Tensor) -> "PairRows":
        """From rows that lie one after the other in another order.

        Args:
            order: int64 ``[items]``, which row is the first, the second, ...
            held: int64 ``[items]``, how many pairs each row has.
            index: int32 ``[pairs]``, the columns.
            value: float32 ``[pairs]``.
        """
        first = torch.empty_like(held)
        first[order] = held[order].cumsum(0) - held[order]
        found = cls(pointers(held), torch.empty_like(index), torch.empty_like(value))
        for some, places, _ in found.parts():
            own = ranges(first[some], held[some])
            found.index[places], found.value[places] = index[own], value[own]
        return found

    @classmethod
    def symmetric(cls, index: Tensor, value: Tensor, diagonal: Tensor) -> "PairRows":
        """The mean of links, see `links.strongest`, and their transpose, with a diagonal.

        Args:
            index: int32 ``[items, links]``.
            value: float32 likewise; 0 is no link.
            diagonal: float32 ``[items]``, 0 is none.
        """
        items = torch.arange(len(index), dtype=torch.int32, device=index.device)
        index = torch.cat((index, items[:, None]), 1)
        value = torch.cat((value, diagonal[:, None]), 1)
        there = value != 0
        own = cls(pointers(there.sum(1)), index[there], value[there] / 2)
        return own._plus_transposed()

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.ptr) - 1

    @property
    def device(self) -> torch.device:
        """See `item_graph.Symmetric`."""
        return self.value.device

    @property
    def dtype(self) -> torch.dtype:
        """See `item_graph.Symmetric`."""
        return self.value.dtype

    def parts(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Some rows at a time: which, the places of their pairs, and the row of each, int64."""
        for some in bounded(self.ptr.diff()):
            ptr = self.ptr[some.start : some.stop + 1]
            places = slice(int(ptr[0]), int(ptr[-1]))
            yield some, places, owners(ptr, places.stop - places.start) + some.start

    def weighted(self, weight: Weight) -> "PairRows":
        """The same places with other values."""
        found = torch.empty_like(self.value)
        for _, places, rows in self.parts():
            found[places] = weight(rows, self.index[places].long(), self.value[places])
        return replace(self, value=found)

    def mirrored(self) -> "PairRows":
        """The matrix plus its transpose; the diagonal counts once."""

        def halved(rows: Tensor, columns: Tensor, value: Tensor) -> Tensor:
            return torch.where(rows == columns, value / 2, value)

        return self.weighted(halved)._plus_transposed()

    def _plus_transposed(self) -> "PairRows":
        """The matrix plus its transpose, whatever the order within a row. Made on the CPU."""
        # imported where a catalogue is large: it takes a quarter of a second
        from scipy import sparse

        parts = (each.cpu().numpy() for each in (self.value, self.index, self.ptr))
        own = sparse.csr_matrix(tuple(parts), shape=(len(self), len(self)))
        own.sort_indices()
        both = own + own.T
        both.sort_indices()
        ptr = torch.from_numpy(both.indptr).long()
        index, value = torch.from_numpy(both.indices).int(), torch.from_numpy(both.data)
        return PairRows(*(each.to(self.device) for each in (ptr, index, value)))

    def strongest(self, weight: Weight, count: int) -> tuple[Tensor, Tensor]:
        """The links of each row with the largest weights, see `links.strongest`.

        The diagonal is no link, and of equal ones the first are kept.
        """
        index = torch.zeros(len(self), count, dtype=torch.int32, device=self.device)
        found = self.value.new_zeros(len(self), count)
        for some, places, rows in self.parts():
            columns = self.index[places].long()
            others = columns != rows
            row, column = rows[others], columns[others]
            weights = weight(row, column, self.value[places][others])
            size = some.stop - some.start, count
            own = links.strongest(row - some.start, column, weights, size)
            index[some], found[some] = own
        return index, found

    def __matmul__(self, vectors: Tensor) -> Tensor:
        """Times vectors, float ``[items, dim]``."""
        return propagate(self.ptr.to(self.index.dtype), self.index, self.value, vectors)

    def __rmatmul__(self, vectors: Tensor) -> Tensor:
        """Of a symmetric matrix: float ``[dim, items]`` times it."""
        return (self @ vectors.T.contiguous()).T
