"""Sparse rows of a stack of item tables: what a client changed, without the rest.

Only for memory. On the wire these rows are written out dense, because the set of touched rows is
the client's history.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ufgraphfr.core.arrays.protocol import Array, ArraySpec, Fault, all_finite


def ranges(starts: Tensor, lengths: Tensor) -> Tensor:
    """Concatenated ``arange(start, start + length)``, int64 ``[sum of lengths]``."""
    ends = lengths.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    shift = torch.repeat_interleave(starts - ends + lengths, lengths, output_size=total)
    return torch.arange(total, device=starts.device) + shift


def pointers(lengths: Tensor) -> Tensor:
    """Where each client's rows begin in a CSR layout, and at last their end, int64 ``[n + 1]``."""
    ptr = lengths.new_zeros(len(lengths) + 1, dtype=torch.int64)
    torch.cumsum(lengths, 0, out=ptr[1:])
    return ptr


def owners(ptr: Tensor, rows: int) -> Tensor:
    """Which client each row of a CSR layout belongs to, int64 ``[rows]``.

    Args:
        ptr: int64 ``[clients + 1]``.
        rows: ``ptr[-1] - ptr[0]``, known to the caller without waiting for the device.
    """
    clients = torch.arange(len(ptr) - 1, device=ptr.device)
    return torch.repeat_interleave(clients, ptr.diff(), output_size=rows)


@dataclass(frozen=True)
class Rows:
    """Rows of ``[clients, height, dim]`` that are not zero, client after client.

    Attributes:
        ptr: int64 ``[clients + 1]``; client ``c`` owns rows ``ptr[c]:ptr[c + 1]``.
        index: int64 ``[rows]``, which row of the client's table; no row twice for a client.
        values: float ``[rows, dim]``.
        height: rows of a full table.
    """

    ptr: Tensor
    index: Tensor
    values: Tensor
    height: int

    sparse: ClassVar[bool] = True

    @property
    def clients(self) -> int:
        """How many clients' tables this holds."""
        return len(self.ptr) - 1

    @property
    def owner(self) -> Tensor:
        """int64 ``[rows]``: the client each row belongs to."""
        return owners(self.ptr, len(self.index))

    @property
    def spec(self) -> ArraySpec:
        """See `Array.spec`."""
        dtype = self.values.dtype
        signed = dtype.is_floating_point or dtype == torch.int64
        shape = (self.height, *self.values.shape[1:])
        return ArraySpec(True, dtype.is_floating_point, shape, signed, dtype)

    def select(self, clients: Tensor) -> "Rows":
        """The rows of some clients (int64 ``[n]``), in that order."""
        lengths = self.ptr.diff()[clients]
        rows = ranges(self.ptr[clients], lengths)
        values = self.values.index_select(0, rows)
        return Rows(pointers(lengths), self.index.index_select(0, rows), values, self.height)

    def spread(self, clients: Tensor, total: int) -> "Rows":
        """The same rows among ``total`` clients: place p becomes client ``clients[p]``.

        ``clients`` must be ascending; clients that are not named own no row.
        """
        counts = torch.zeros(total, dtype=torch.int64, device=self.ptr.device)
        counts[clients] = self.ptr.diff()
        return Rows(pointers(counts), self.index, self.values, self.height)

    def dense(self) -> Tensor:
        """The full tables, float ``[clients, height, dim]``."""
        dim = self.values.shape[1]
        flat = self.values.new_zeros(self.clients * self.height, dim)
        flat.index_copy_(0, self.owner * self.height + self.index, self.values)
        return flat.view(self.clients, self.height, dim)

    def total(self) -> Tensor:
        """The sum over clients, float ``[height, dim]``."""
        sums = self.values.new_zeros(self.height, self.values.shape[1])
        return sums.index_add_(0, self.index, self.values)

    def plain(self) -> "Rows":
        """See `Array.plain`."""
        return self

    def encoded(self, name: str) -> dict[str, Tensor]:
        """See `Array.encoded`: written out, because which rows a client touched is its history."""
        return {f"rows/{name}": self.dense()}

    def fault(self) -> Fault | None:
        """See `Array.fault`."""
        flat = all(part.dtype == torch.int64 and part.dim() == 1 for part in (self.ptr, self.index))
        if not flat or self.values.dim() != 2 or len(self.ptr) == 0:
            return "shape"
        count = len(self.index)
        ends = (int(self.ptr[0]), int(self.ptr[-1]), len(self.values))
        if ends != (0, count, count) or bool((self.ptr.diff() < 0).any()):
            return "shape"
        if bool(((self.index < 0) | (self.index >= self.height)).any()):
            return "shape"
        cells = self.owner * self.height + self.index
        return None if len(cells.unique()) == count else "shape"

    def is_finite(self) -> bool:
        """See `Array.is_finite`."""
        return all_finite(self.values)

    def with_values(self, values: Tensor) -> "Rows":
        """See `Plain.with_values`."""
        return replace(self, values=values)

    def by_item(self) -> Tensor:
        """See `Plain.by_item`."""
        return self.values

    @staticmethod
    def of(tables: Tensor) -> "Rows":
        """The non-zero rows of dense tables ``[clients, height, dim]``."""
        owner, index = tables.abs().amax(2).nonzero(as_tuple=True)
        ptr = pointers(torch.bincount(owner, minlength=len(tables)))
        return Rows(ptr, index, tables[owner, index], tables.shape[1])

    @classmethod
    def cat(cls, parts: list["Rows"], places: Sequence[Tensor]) -> "Rows":
        """See `Array.cat`."""
        lead = parts[0].values
        counts = torch.zeros(sum(map(len, places)), dtype=torch.int64, device=lead.device)
        for part, where in zip(parts, places, strict=True):
            counts[where] = part.ptr.diff()
        ptr = pointers(counts)
        index = torch.empty(int(ptr[-1]), dtype=torch.int64, device=lead.device)
        values = lead.new_empty(len(index), lead.shape[1])
        height = parts[0].height
        del lead
        for where in places:
            part = parts.pop(0)
            rows = ranges(ptr[where], part.ptr.diff())
            index[rows] = part.index
            values.index_copy_(0, rows, part.values)
        return cls(ptr, index, values, height)


def changed_rows(value: Array) -> Rows:
    """An array as the rows of item tables that are not zero."""
    return value if isinstance(value, Rows) else Rows.of(value.dense())
