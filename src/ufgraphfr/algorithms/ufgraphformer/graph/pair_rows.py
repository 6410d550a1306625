"""Sums over pairs of items as rows of what is not zero, of which some are written out at a time.

A large catalogue has millions of pairs. Here each takes eight bytes. What is made of them takes
many more, so it is made of about `ops.link_rows.AT_ONCE` pairs at a time.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

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
    def of(cls, lists: Iterable[tuple[Tensor, Tensor, Tensor]], held: Tensor) -> "PairRows":
        """From lists of rows that lie one after the other in another order.

        Args:
            lists: of each which rows it has, int64 ``[rows]``, int32 columns and float32 values.
            held: int64 ``[items]``, how many pairs each row has.
        """
        ptr = pointers(held)
        index = torch.empty(int(ptr[-1]), dtype=torch.int32, device=held.device)
        found = cls(ptr, index, torch.empty(len(index), device=held.device))
        for order, columns, values in lists:
            own = pointers(held[order])
            for some in bounded(own.diff()):
                there = ranges(ptr[order[some]], held[order[some]])
                here = slice(int(own[some.start]), int(own[some.stop]))
                found.index[there], found.value[there] = columns[here], values[here]
        return found

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

    def transposed(self) -> "PairRows":
        """Rows as columns. Made on the CPU."""
        turned = self.between(slice(0, len(self))).T.tocsr()
        ptr = torch.from_numpy(turned.indptr).long()
        index, value = torch.from_numpy(turned.indices).int(), torch.from_numpy(turned.data)
        return PairRows(*(each.to(self.device) for each in (ptr, index, value)))

    def some(self) -> Iterator["SomePairs"]:
        """All pairs, some rows at a time."""
        for some, places, rows in self.parts():
            yield some, rows, self.index[places].long(), self.value[places]

    def __matmul__(self, vectors: Tensor) -> Tensor:
        """Times vectors, float ``[items, dim]``."""
        return propagate(self.ptr.to(self.index.dtype), self.index, self.value, vectors)

    def between(self, some: slice) -> Any:
        """Some rows as a matrix of scipy's, which shares their memory."""
        # imported where a catalogue is large: it takes a quarter of a second
        from scipy import sparse

        ptr = self.ptr[some.start : some.stop + 1]
        places = slice(int(ptr[0]), int(ptr[-1]))
        parts = self.value[places], self.index[places], ptr - ptr[0]
        shape = some.stop - some.start, len(self)
        return sparse.csr_matrix(tuple(each.cpu().numpy() for each in parts), shape=shape)


@dataclass(frozen=True)
class Mirrored:
    """A matrix plus its transpose, of which no more than some rows are ever made.

    Attributes:
        own: with the diagonal.
        turned: its transpose, with nothing on the diagonal, which counts once.
    """

    own: PairRows
    turned: PairRows

    @classmethod
    def of(cls, own: PairRows) -> "Mirrored":
        """Of rows that go from left to right."""
        turned = own.transposed()
        for _, places, rows in turned.parts():
            turned.value[places].masked_fill_(turned.index[places] == rows, 0)
        return cls(own, turned)

    @classmethod
    def of_links(cls, index: Tensor, value: Tensor, diagonal: Tensor) -> "Mirrored":
        """The mean of links, see `links.strongest`, and their transpose, with a diagonal.

        Args:
            index: int32 ``[items, links]``.
            value: float32 likewise; 0 is no link.
            diagonal: float32 ``[items]``, 0 is none.
        """
        items = torch.arange(len(index), dtype=torch.int32, device=index.device)
        index = torch.cat((index, items[:, None]), 1)
        value = torch.cat((value / 2, diagonal[:, None]), 1)
        there = value != 0
        return cls.of(PairRows(pointers(there.sum(1)), index[there], value[there]))

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.own)

    @property
    def device(self) -> torch.device:
        """See `item_graph.Symmetric`."""
        return self.own.device

    @property
    def dtype(self) -> torch.dtype:
        """See `item_graph.Symmetric`."""
        return self.own.dtype

    def weighted(self, weight: Weight) -> "Mirrored":
        """The same places with other values; of what is in both matrices, of either."""
        return Mirrored(self.own.weighted(weight), self.turned.weighted(weight))

    def some(self) -> Iterator["SomePairs"]:
        """All pairs, some rows at a time, from left to right."""
        for some in bounded(self.own.ptr.diff() + self.turned.ptr.diff()):
            both = self.own.between(some) + self.turned.between(some)
            columns = torch.from_numpy(both.indices).long()
            ptr, value = torch.from_numpy(both.indptr).long(), torch.from_numpy(both.data)
            rows = owners(ptr, len(columns)) + some.start
            rows, columns, value = (each.to(self.device) for each in (rows, columns, value))
            yield some, rows, columns, value

    def __matmul__(self, vectors: Tensor) -> Tensor:
        """Times vectors, float ``[items, dim]``."""
        return (self.own @ vectors).add_(self.turned @ vectors)

    def __rmatmul__(self, vectors: Tensor) -> Tensor:
        """Float ``[dim, items]`` times it."""
        return (self @ vectors.T.contiguous()).T


SomePairs = tuple[slice, Tensor, Tensor, Tensor]
"""Which rows, then row and column of each of their pairs, int64, and its value."""


def strongest(pairs: PairRows | Mirrored, weight: Weight, count: int) -> tuple[Tensor, Tensor]:
    """The links of each row with the largest weights, see `links.strongest`.

    The diagonal is no link, and of equal ones the first are kept.
    """
    index = torch.zeros(len(pairs), count, dtype=torch.int32, device=pairs.device)
    found = torch.zeros(len(pairs), count, dtype=pairs.dtype, device=pairs.device)
    for some, rows, columns, value in pairs.some():
        others = columns != rows
        row, column = rows[others], columns[others]
        weights = weight(row, column, value[others])
        size = some.stop - some.start, count
        index[some], found[some] = links.strongest(row - some.start, column, weights, size)
    return index, found
