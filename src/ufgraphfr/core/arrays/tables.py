"""The item tables clients start from, formed only as far as they are read.

A table for each client, ``[clients, height, dim]``, is far too large to hold. A client reads the
rows it touches in training and, in evaluation, all of them, a chunk of clients at a time.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import Rows, owners, ranges


class Tables(Protocol):
    """Item tables of some clients."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Clients, height, dim."""

    def gather(self, ptr: Tensor, index: Tensor) -> Tensor:
        """Some rows of each client's table.

        Args:
            ptr: int64 ``[clients + 1]``, places in ``index``.
            index: int64 ``[rows]``, row numbers, client after client.

        Returns:
            float ``[rows, dim]``, a new tensor.
        """

    def dense(self) -> Tensor:
        """The full tables, float ``[clients, height, dim]``."""

    def select(self, places: Tensor) -> "Tables":
        """The tables of some of the clients, int64 ``[n]``, in that order."""

    def common(self) -> Tensor | None:
        """The table ``[height, dim]`` of all clients alike, if it is one."""


@dataclass(frozen=True)
class SharedTable:
    """One table ``[height, dim]`` for all of ``clients`` clients."""

    table: Tensor
    clients: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Clients, height, dim."""
        return (self.clients, self.table.shape[0], self.table.shape[1])

    def gather(self, ptr: Tensor, index: Tensor) -> Tensor:
        """See `Tables.gather`."""
        return self.table.index_select(0, index)

    def dense(self) -> Tensor:
        """See `Tables.dense`; a view, not a copy."""
        return self.table.expand(self.shape)

    def select(self, places: Tensor) -> "SharedTable":
        """See `Tables.select`."""
        return SharedTable(self.table, len(places))

    def common(self) -> Tensor:
        """See `Tables.common`."""
        return self.table


@dataclass(frozen=True)
class DenseTables:
    """Full tables, ``[clients, height, dim]``: as they come off the wire."""

    tables: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """Clients, height, dim."""
        return (self.tables.shape[0], self.tables.shape[1], self.tables.shape[2])

    def gather(self, ptr: Tensor, index: Tensor) -> Tensor:
        """See `Tables.gather`."""
        return self.tables[owners(ptr, len(index)), index]

    def dense(self) -> Tensor:
        """See `Tables.dense`."""
        return self.tables

    def select(self, places: Tensor) -> "DenseTables":
        """See `Tables.select`."""
        return DenseTables(self.tables[places])

    def common(self) -> None:
        """See `Tables.common`."""


@dataclass(frozen=True)
class GraphTables:
    """A shared table plus a weighted sum of neighbors' sparse changes, one sum for each client.

    Attributes:
        base: float ``[height, dim]``.
        changes: the rows that each possible neighbor changed.
        neighbors: int64 ``[clients, neighbors]``, places in ``changes``.
        weights: float ``[clients, neighbors]``; 0 where a client has fewer.
    """

    base: Tensor
    changes: Rows
    neighbors: Tensor
    weights: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """Clients, height, dim."""
        return (len(self.neighbors), self.base.shape[0], self.base.shape[1])

    def gather(self, ptr: Tensor, index: Tensor) -> Tensor:
        """See `Tables.gather`."""
        if self._alone:
            return self.base.index_select(0, index)
        owner = owners(ptr, len(index))
        row_of, place = self._rows_by_neighbor()
        near = (place * row_of.shape[1]).index_select(0, owner).add_(index[:, None])
        return self._sum(owner, row_of.take(near), index)

    def dense(self) -> Tensor:
        """See `Tables.dense`."""
        clients, height, _ = self.shape
        if self._alone:
            return self.base.expand(self.shape)
        row_of, place = self._rows_by_neighbor()
        lists = row_of.index_select(0, place.flatten()).view(*place.shape, height)
        everything = torch.arange(height, device=self.base.device)
        owner = torch.arange(clients, device=self.base.device).repeat_interleave(height)
        rows = lists.transpose(1, 2).reshape(clients * height, -1)
        return self._sum(owner, rows, everything.repeat(clients)).view(self.shape)

    @property
    def _alone(self) -> bool:
        """Whether nobody has a neighbor."""
        return self.neighbors.shape[1] == 0 or len(self.changes.index) == 0

    def _sum(self, owner: Tensor, rows: Tensor, index: Tensor) -> Tensor:
        """``base[index]`` plus the weighted changes ``rows``, int32 ``[n, neighbors]``."""
        weights = self.weights.index_select(0, owner).mul_(rows >= 0)
        change = F.embedding_bag(
            rows.clamp_(min=0), self.changes.values, mode="sum", per_sample_weights=weights
        )
        return change.add_(self.base.index_select(0, index))

    def _rows_by_neighbor(self) -> tuple[Tensor, Tensor]:
        """Where to read each neighbor's change of each item.

        Returns:
            int32 ``[near, height]``, the changed row by neighbor and item, -1 if there is none;
            and int64 ``[clients, neighbors]``, each neighbor's place in it.
        """
        near, place = self.neighbors.unique(return_inverse=True)
        start = self.changes.ptr[near]
        length = self.changes.ptr[near + 1] - start
        rows = ranges(start, length)
        owner = torch.arange(len(near), device=near.device).repeat_interleave(length)
        height = self.shape[1]
        row_of = torch.full((len(near) * height,), -1, dtype=torch.int32, device=near.device)
        row_of[owner * height + self.changes.index.index_select(0, rows)] = rows.int()
        return row_of.view(len(near), height), place

    def select(self, places: Tensor) -> "GraphTables":
        """See `Tables.select`."""
        return replace(self, neighbors=self.neighbors[places], weights=self.weights[places])

    def common(self) -> None:
        """See `Tables.common`."""


@dataclass(frozen=True)
class ChangedTables:
    """Tables with each client's own sparse change on top."""

    base: Tables
    change: Rows

    @property
    def shape(self) -> tuple[int, int, int]:
        """Clients, height, dim."""
        return self.base.shape

    def gather(self, ptr: Tensor, index: Tensor) -> Tensor:
        """See `Tables.gather`."""
        return self.dense()[owners(ptr, len(index)), index]

    def dense(self) -> Tensor:
        """See `Tables.dense`."""
        return self.base.dense() + self.change.dense()

    def select(self, places: Tensor) -> "ChangedTables":
        """See `Tables.select`."""
        return ChangedTables(self.base.select(places), self.change.select(places))

    def common(self) -> None:
        """See `Tables.common`."""
