"""Flat arrays of which little is not zero, in the memory of what is.

Only for memory: an array is of the same form as a `Dense` one, and on the wire it is written out,
because where a client's array is not zero is its history. Places take four bytes where they can,
and whole numbers no more than they need.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.arrays.protocol import ArraySpec, Fault, Plain, all_finite
from ufgraphfr.core.arrays.sparse_rows import owners, pointers, ranges

AT_ONCE = 2**22
"""Numbers of a sum that are merged together; bounds what it needs beside its result."""


@dataclass(frozen=True)
class Cells:
    """What is not zero, client after client.

    Attributes:
        ptr: int64 ``[clients + 1]``; client ``c`` owns ``ptr[c]:ptr[c + 1]``.
        index: int32 or int64 ``[n]``, the places, of each client ascending and distinct.
        values: the numbers, ``[n]``.
        size: of one client's array.
        wide: whether they stand for int64, as sums of whole numbers do: how many bytes these need
            would tell something of them.
    """

    ptr: Tensor
    index: Tensor
    values: Tensor
    size: int
    wide: bool = False

    sparse: ClassVar[bool] = True

    @classmethod
    def of(cls, entries: Tensor) -> "Cells":
        """From a sparse tensor ``[clients, size]``, coalesced."""
        owner, index = entries.indices()
        clients, size = entries.shape
        ptr = pointers(torch.bincount(owner, minlength=clients))
        return cls(ptr, _narrow(index, size), entries.values(), size)

    @property
    def clients(self) -> int:
        """See `Array.clients`."""
        return len(self.ptr) - 1

    @property
    def owner(self) -> Tensor:
        """See `Plain.owner`."""
        return owners(self.ptr, len(self.index))

    @property
    def spec(self) -> ArraySpec:
        """See `Array.spec`; that of a dense array."""
        own = self.values[:0].long() if self.wide else self.values[:0]
        return replace(Dense(own).spec, shape=(self.size,))

    def select(self, clients: Tensor) -> "Cells":
        """See `Array.select`."""
        lengths = self.ptr.diff()[clients]
        own = ranges(self.ptr[clients], lengths)
        return replace(self, ptr=pointers(lengths), index=self.index[own], values=self.values[own])

    @classmethod
    def cat(cls, parts: list["Cells"], places: Sequence[Tensor]) -> "Cells":
        """See `Array.cat`."""
        lengths = torch.cat([part.ptr.diff() for part in parts])
        index = torch.cat([part.index for part in parts])
        values = torch.cat([part.values for part in parts])
        joined = replace(parts[0], ptr=pointers(lengths), index=index, values=values)
        parts.clear()
        return joined.select(torch.cat(list(places)).argsort())

    def dense(self) -> Tensor:
        """See `Array.dense`."""
        values = widened(self.values) if self.wide else self.values
        found = values.new_zeros(self.clients, self.size)
        found[self.owner, self.index.long()] = values
        return found

    def total(self) -> Tensor:
        """See `Array.total`; a sparse tensor, coalesced."""
        shape = (self.clients, self.size)
        if self.clients == 1:
            return coalesced(self.index.long()[None], self.values, shape[1:])
        places = torch.stack((self.owner, self.index.long()))
        return torch.sparse.sum(coalesced(places, self.values, shape), 0).coalesce()

    def plain(self) -> "Cells":
        """See `Array.plain`."""
        return self

    def encoded(self, name: str) -> dict[str, Tensor]:
        """See `Array.encoded`: written out."""
        return Dense(self.dense()).encoded(name)

    def fault(self) -> Fault | None:
        """See `Array.fault`: none comes from outside."""
        return None

    def is_finite(self) -> bool:
        """See `Array.is_finite`."""
        return all_finite(self.values)

    def with_values(self, values: Tensor) -> "Cells":
        """See `Plain.with_values`."""
        return replace(self, values=values, wide=False)

    def by_item(self) -> Tensor:
        """See `Plain.by_item`."""
        return self.values[:, None]


def _narrow(index: Tensor, size: int) -> Tensor:
    return index.int() if size <= torch.iinfo(torch.int32).max else index


def coalesced(places: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A sparse tensor whose places are distinct and in order already, int64 ``[axes, n]``."""
    return torch.sparse_coo_tensor(places, values, shape, is_coalesced=True, check_invariants=False)


def added(one: Cells, other: Cells) -> Cells:
    """The sum of two arrays of a client each.

    Some numbers of the shorter one at a time, each with what the longer has between them.
    """
    few, many = sorted((one, other), key=lambda each: len(each.values))
    if len(few.index) == 0:
        return many
    where, fresh = _places(many.index, few.index)
    length = len(many.index) + int(fresh.sum())
    index, values = many.index.new_empty(length), many.values.new_empty(0)
    values = values.to(_type_of_sum(one.values, other.values)).new_empty(length)
    step = max(1, AT_ONCE * len(few.index) // length)
    begin, done = 0, 0
    for first in range(0, len(few.index), step):
        own = slice(first, first + step)
        last = own.stop >= len(few.index)
        end = len(many.index) if last else int(where[own.stop])
        place, new = where[own].long() - begin, fresh[own]
        place += new.cumsum(0) - new.long()
        size = end - begin + int(new.sum())
        old = torch.ones(size, dtype=torch.bool, device=index.device)
        old[place[new]] = False
        part, sums = index[done : done + size], values[done : done + size]
        part.masked_scatter_(old, many.index[begin:end]).index_copy_(0, place, few.index[own])
        sums.zero_().masked_scatter_(old, many.values[begin:end].to(sums.dtype))
        sums.index_add_(0, place, few.values[own].to(sums.dtype))
        begin, done = end, done + size
    ptr, wide = pointers(many.ptr.new_tensor([length])), not values.is_floating_point()
    return Cells(ptr, index, values, many.size, wide)


def _places(many: Tensor, few: Tensor) -> tuple[Tensor, Tensor]:
    """Where each place of an ascending list comes in another, and whether it is not there yet."""
    where = torch.empty_like(few)
    fresh = torch.empty(len(few), dtype=torch.bool, device=few.device)
    narrow = few.dtype == torch.int32
    for first in range(0, len(few), AT_ONCE):
        own = slice(first, first + AT_ONCE)
        where[own] = torch.searchsorted(many, few[own], out_int32=narrow)
        fresh[own] = many[where[own].clamp(max=len(many) - 1)] != few[own]
    return where, fresh


def _type_of_sum(one: Tensor, other: Tensor) -> torch.dtype:
    """The fewest bytes in which no sum of two numbers overflows; of floats theirs."""
    if one.is_floating_point():
        return torch.promote_types(one.dtype, other.dtype)
    low = sum(min(0, int(each.min())) for each in (one, other))
    high = sum(max(0, int(each.max())) for each in (one, other))
    kinds = (torch.uint8, torch.int16, torch.int32, torch.int64)
    fits = (k for k in kinds if torch.iinfo(k).min <= low and high <= torch.iinfo(k).max)
    return next(fits)


def widened(counts: Tensor) -> Tensor:
    """The same whole numbers in int64, so that no sum overflows; floats as they are."""
    if counts.is_floating_point():
        return counts
    if counts.is_sparse:
        return coalesced(counts.indices(), counts.values().long(), tuple(counts.shape))
    return counts.long()


def as_array(value: Tensor | Plain) -> Plain:
    """A client's array as it travels; algorithms hand over tensors too."""
    if isinstance(value, Tensor):
        return Cells.of(value.coalesce()) if value.is_sparse else Dense(value)
    return value


def as_row(total: Tensor) -> Plain:
    """An array of one row, from that without a clients axis."""
    if not total.is_sparse:
        return Dense(total[None])
    (size,), index = total.shape, total.indices()[0]
    ptr = pointers(index.new_tensor([len(index)]))
    return Cells(ptr, _narrow(index, size), total.values(), size)
