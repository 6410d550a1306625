"""What travels between server and clients, always with a leading ``clients`` axis.

Simulation moves a chunk of clients in one message, a phone one client, a silo its users: one
arithmetic for all. A `Report` is the only thing that leaves the client function.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from enum import Enum

import torch
from torch import Tensor

from ufgraphfr.core.arrays.cells import Cells, added, as_array, as_row, widened
from ufgraphfr.core.arrays.protocol import Array, Plain
from ufgraphfr.core.arrays.sparse_rows import Rows, changed_rows
from ufgraphfr.core.arrays.tables import Tables

Private = dict[str, Tensor]
"""Weights that stay on the device, each ``[clients, ...]``."""

State = dict[str, Tensor]
"""The server's memory between rounds."""


class Aggregation(Enum):
    """What replies are: sums over the clients they come from, or each client's own."""

    SUM = "sum"
    PER_CLIENT = "per-client"


@dataclass(frozen=True)
class Task:
    """What the server asks of some clients in a round.

    Attributes:
        round: from 1.
        clients: int64 ``[clients]``, the clients' numbers.
        shared: arrays that are the same for all clients.
        personal: item tables with a leading clients axis.
        cacheable: names of shared arrays that do not change while a model is trained. A device that
            has been sent them keeps them; only the server, which counts bytes, reads this.
        aggregation: what the reply must be. It does not travel: either side knows it from what
            was agreed on, so that no server can ask a device for more.
    """

    round: int
    clients: Tensor
    shared: dict[str, Tensor]
    personal: dict[str, Tables]
    cacheable: frozenset[str] = frozenset()
    aggregation: Aggregation = Aggregation.PER_CLIENT

    @property
    def cacheable_bytes(self) -> int:
        """The size of its cacheable arrays."""
        return sum(self.shared[name].nbytes for name in self.cacheable)

    def select(self, places: Tensor) -> "Task":
        """The task of some of the clients, int64 ``[n]``, in that order."""
        picked = {name: tables.select(places) for name, tables in self.personal.items()}
        return replace(self, clients=self.clients[places], personal=picked)

    def tables(self, name: str) -> Tables:
        """The item tables called ``name``."""
        return self.personal[name]


@dataclass(frozen=True)
class Report:
    """What clients reply.

    Attributes:
        round: from 1.
        clients: int64 ``[clients]``, who replied.
        arrays: changes, each client's own, or one row that is the sum over these clients.
        aggregation: which of the two.
        loss: float ``[clients]``, mean training loss of each client.
    """

    round: int
    clients: Tensor
    arrays: Mapping[str, Array]
    aggregation: Aggregation
    loss: Tensor

    @property
    def sums(self) -> dict[str, Tensor]:
        """The sum of each array over the clients, without a clients axis."""
        return {name: value.total() for name, value in self.arrays.items()}

    def rows(self, name: str) -> Rows:
        """The rows of item tables that each client changed."""
        return changed_rows(self.arrays[name])

    def select(self, places: Tensor) -> "Report":
        """The replies of some of the clients, int64 ``[n]``, in that order."""
        if self.aggregation is Aggregation.SUM:
            raise ValueError("a sum over clients cannot be taken apart")
        picked = {name: value.select(places) for name, value in self.arrays.items()}
        return replace(self, clients=self.clients[places], arrays=picked, loss=self.loss[places])

    def total(self) -> "Report":
        """The same with sums over the clients for arrays."""
        arrays = {name: _row(value) for name, value in self.arrays.items()}
        return replace(self, arrays=arrays, aggregation=Aggregation.SUM)

    def taken(self) -> "Sums":
        """The sums, of which the report keeps none."""
        arrays = dict(self.arrays)
        if isinstance(self.arrays, MutableMapping):
            self.arrays.clear()
        return Sums(arrays)


class Sums(Mapping[str, Tensor]):
    """What `Report.sums` gives, each made when it is asked for: large ones are not all needed."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        """The arrays of a report; the dictionary is this object's own."""
        self._arrays = arrays

    def __getitem__(self, name: str) -> Tensor:
        """The sum of an array."""
        return self._arrays[name].total()

    def __iter__(self) -> Iterator[str]:
        """Names of arrays."""
        return iter(self._arrays)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._arrays)

    def pop(self, name: str) -> Tensor:
        """The sum of an array, which is held by the caller alone."""
        return self._arrays.pop(name).total()


Summed = Sums | dict[str, Tensor]
"""Sums over the clients by name."""


def per_client(values: Mapping[str, Tensor | Plain]) -> dict[str, Plain]:
    """Each client's own arrays, ``[clients, ...]``, as a report holds them."""
    return {name: as_array(value) for name, value in values.items()}


def one_row(sums: Mapping[str, Tensor | Plain]) -> dict[str, Plain]:
    """Sums over clients, which are tensors without a clients axis, as a report holds them."""
    tensors = {n: v if isinstance(v, Tensor) else v.dense() for n, v in sums.items()}
    return {name: as_row(value) for name, value in tensors.items()}


def combine(reports: list[Report]) -> Report:
    """All replies of a round as one: sums are added, the rest is ordered by client number.

    The list is emptied on the way, so that large replies never exist twice.
    """
    kept = replace(reports[0], arrays={})
    clients = torch.cat([report.clients for report in reports])
    loss = torch.cat([report.loss for report in reports])
    order = clients.argsort()
    places = order.argsort().split([len(report.clients) for report in reports])
    parts = {name: [report.arrays[name] for report in reports] for name in reports[0].arrays}
    reports.clear()
    joined = dict[str, Array]()
    for name, values in parts.items():
        if kept.aggregation is Aggregation.SUM:
            joined[name] = _sum(values)
        else:
            joined[name] = type(values[0]).cat(values, places)
    return replace(kept, clients=clients[order], arrays=joined, loss=loss[order])


def gather(reports: list[Report]) -> None:
    """Add up replies that are sums, after each that came, so that few are held.

    A sum is added to the one before it as soon as it is no shorter. Dense ones are all alike, and
    so are one; sparse ones grow as more is added, and each number of theirs is then added up as
    often as a number of sums can be halved, not once for each sum that follows.
    """
    if reports[-1].aggregation is not Aggregation.SUM:
        return
    while len(reports) > 1 and _listed(reports[-1]) >= _listed(reports[-2]):
        reports.append(combine([reports.pop(-2), reports.pop()]))


def _listed(report: Report) -> int:
    """How many numbers the sparse arrays hold."""
    sparse = (value for value in report.arrays.values() if isinstance(value, Cells))
    return sum(len(value.values) for value in sparse)


def _sum(parts: list[Array]) -> Plain:
    """The sum of some arrays, one at a time, as an array of one row; the list is emptied.

    Whole numbers are widened, so that none overflows.
    """
    cells = [part for part in parts if isinstance(part, Cells) and part.clients == 1]
    if len(cells) == len(parts):
        parts.clear()
        sparse = cells.pop(0)
        while cells:
            sparse = added(sparse, cells.pop(0))
        return replace(sparse, wide=not sparse.values.is_floating_point())
    # a sparse array can be added to a dense one, and not the other way round
    first, *rest = sorted((part.total() for part in parts), key=lambda part: part.is_sparse)
    parts.clear()
    total = widened(first)
    for part in rest:
        total = total + widened(part)
    return as_row(total)


def _row(value: Array) -> Plain:
    """The sum over clients as an array of one row."""
    if isinstance(value, Cells) and value.clients == 1:
        return value
    return as_row(value.total())
