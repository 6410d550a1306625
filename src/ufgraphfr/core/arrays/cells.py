"""Flat arrays of which little is not zero, in the memory of what is.

Only for memory: an array is of the same form as a `Dense` one, and on the wire it is written out,
because where a client's array is not zero is its history.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.arrays.protocol import ArraySpec, Fault, Plain


@dataclass(frozen=True)
class Cells:
    """A sparse tensor.

    Attributes:
        entries: sparse (COO) and coalesced, ``[clients, size]``.
    """

    entries: Tensor

    sparse: ClassVar[bool] = True

    @property
    def clients(self) -> int:
        """See `Array.clients`."""
        return len(self.entries)

    @property
    def values(self) -> Tensor:
        """The numbers that are not zero, ``[n]``."""
        return self.entries.values()

    @property
    def owner(self) -> Tensor:
        """See `Plain.owner`."""
        return self.entries.indices()[0]

    @property
    def spec(self) -> ArraySpec:
        """See `Array.spec`; that of a dense array."""
        return Dense(self.entries).spec

    def select(self, clients: Tensor) -> "Cells":
        """See `Array.select`."""
        return Cells(self.entries.index_select(0, clients).coalesce())

    @classmethod
    def cat(cls, parts: list["Cells"], places: Sequence[Tensor]) -> "Cells":
        """See `Array.cat`."""
        joined = cls(torch.cat([part.entries for part in parts]))
        parts.clear()
        return joined.select(torch.cat(list(places)).argsort())

    def dense(self) -> Tensor:
        """See `Array.dense`."""
        return self.entries.to_dense()

    def total(self) -> Tensor:
        """See `Array.total`; a sparse tensor, coalesced."""
        if self.clients > 1:
            return torch.sparse.sum(self.entries, 0).coalesce()
        # select() forgets that they are in order
        return coalesced(self.entries.indices()[1:], self.values, tuple(self.entries.shape[1:]))

    def plain(self) -> "Cells":
        """See `Array.plain`."""
        return self

    def encoded(self, name: str) -> dict[str, Tensor]:
        """See `Array.encoded`: written out."""
        return Dense(self.dense()).encoded(name)

    def fault(self) -> Fault | None:
        """See `Array.fault`."""
        return Dense(self.entries).fault()

    def is_finite(self) -> bool:
        """See `Array.is_finite`."""
        return bool(self.values.isfinite().all())

    def with_values(self, values: Tensor) -> "Cells":
        """See `Plain.with_values`."""
        return Cells(coalesced(self.entries.indices(), values, tuple(self.entries.shape)))

    def by_item(self) -> Tensor:
        """See `Plain.by_item`."""
        return self.values[:, None]


def coalesced(places: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A sparse tensor whose places are distinct and in order already, int64 ``[axes, n]``."""
    return torch.sparse_coo_tensor(places, values, shape, is_coalesced=True, check_invariants=False)


def added(one: Tensor, other: Tensor) -> Tensor:
    """The sum of two sparse vectors, coalesced as they are; torch's would sort both anew."""
    few, many = sorted((one, other), key=lambda each: len(each.values()))
    places, more = many.indices()[0], few.indices()[0]
    if len(more) == 0:
        return many
    place = torch.searchsorted(places, more)
    fresh = places[place.clamp(max=len(places) - 1)] != more
    place += fresh.cumsum(0) - fresh.long()
    old = torch.ones(len(places) + int(fresh.sum()), dtype=torch.bool, device=places.device)
    old[place[fresh]] = False
    found = places.new_empty(len(old)).masked_scatter_(old, places).index_copy_(0, place, more)
    sums = many.values().new_zeros(len(old)).masked_scatter_(old, many.values())
    sums.index_add_(0, place, few.values())
    return coalesced(found[None], sums, tuple(one.shape))


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
        return Cells(value.coalesce()) if value.is_sparse else Dense(value)
    return value


def as_row(total: Tensor) -> Plain:
    """An array of one row, from that without a clients axis."""
    if not total.is_sparse:
        return Dense(total[None])
    places = total.indices()
    # unsqueeze() forgets it too
    places = torch.cat((torch.zeros_like(places[:1]), places))
    return Cells(coalesced(places, total.values(), (1, *total.shape)))
