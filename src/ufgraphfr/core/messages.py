"""What travels between server and clients, always with a leading ``clients`` axis.

Simulation moves a chunk of clients in one message, a phone one client, a silo its users: one
arithmetic for all. A `Report` is the only thing that leaves the client function.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from ufgraphfr.core.arrays.low_rank import LowRank
from ufgraphfr.core.arrays.quantised import Quantised
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.arrays.tables import Tables

Private = dict[str, Tensor]
"""Weights that stay on the device, each ``[clients, ...]``."""

State = dict[str, Tensor]
"""The server's memory between rounds."""

Uploaded: TypeAlias = Tensor | Rows | Quantised | LowRank
"""One array of an answer: dense, the changed rows of tables, on a coarse grid, or with its matrices
as products of thin ones."""


@dataclass(frozen=True)
class Task:
    """What the server asks of some clients in a round.

    Attributes:
        round: from 1.
        clients: int64 ``[clients]``, the clients' numbers.
        shared: arrays that are the same for all clients.
        personal: arrays or item tables with a leading clients axis.
        cacheable: names of shared arrays that do not change while a model is trained. A device that
            has been sent them keeps them; only the server, which counts bytes, reads this.
    """

    round: int
    clients: Tensor
    shared: dict[str, Tensor]
    personal: dict[str, Tensor | Tables]
    cacheable: frozenset[str] = frozenset()

    @property
    def cacheable_bytes(self) -> int:
        """The size of its cacheable arrays."""
        return sum(self.shared[name].nbytes for name in self.cacheable)

    def select(self, places: Tensor) -> "Task":
        """The task of some of the clients, int64 ``[n]``, in that order."""
        picked = {
            name: value[places] if isinstance(value, Tensor) else value.select(places)
            for name, value in self.personal.items()
        }
        return replace(self, clients=self.clients[places], personal=picked)

    def tables(self, name: str) -> Tables:
        """The item tables called ``name``."""
        value = self.personal[name]
        if isinstance(value, Tensor):
            raise TypeError(f"'{name}' is an array, not item tables")
        return value


@dataclass(frozen=True)
class Report:
    """What clients answer.

    Attributes:
        round: from 1.
        clients: int64 ``[clients]``, who answered.
        arrays: changes; each client's own ``[clients, ...]``, or sums over these clients.
        summed: whether the arrays are sums over the clients; a coarse one has one row then.
        loss: float ``[clients]``, mean training loss of each client.
    """

    round: int
    clients: Tensor
    arrays: dict[str, Uploaded]
    summed: bool
    loss: Tensor

    def select(self, places: Tensor) -> "Report":
        """The answers of some of the clients, int64 ``[n]``, in that order."""
        if self.summed:
            raise ValueError("a sum over clients cannot be taken apart")
        picked = {
            name: value[places] if isinstance(value, Tensor) else value.select(places)
            for name, value in self.arrays.items()
        }
        return replace(self, clients=self.clients[places], arrays=picked, loss=self.loss[places])

    def apart(self) -> "Report":
        """The same answer as each client's own; a sum over one client is that client's."""
        if not self.summed:
            return self
        if len(self.clients) != 1:
            raise ValueError("a sum over clients cannot be taken apart")
        own: dict[str, Uploaded] = {
            name: value[None] if isinstance(value, Tensor) else value
            for name, value in self.arrays.items()
        }
        return replace(self, arrays=own, summed=False)

    def total(self) -> "Report":
        """The sums over clients; what an algorithm that needs no more than sums receives."""
        if self.summed and all(map(_exact, self.arrays.values())):
            return self
        sums: dict[str, Uploaded] = {
            name: _wide(value if self.summed else value.sum(0))
            if isinstance(value, Tensor)
            else value.total()
            for name, value in self.arrays.items()
        }
        return replace(self, arrays=sums, summed=True)


def combine(reports: list[Report]) -> Report:
    """All answers of a round as one: sums are added, the rest is ordered by client number.

    The list is emptied on the way, so that large answers never exist twice.
    """
    first = reports[0]
    clients = torch.cat([report.clients for report in reports])
    loss = torch.cat([report.loss for report in reports])
    order = clients.argsort()
    place = order.argsort().split([len(report.clients) for report in reports])
    parts = {name: [report.arrays[name] for report in reports] for name in first.arrays}
    reports.clear()
    kept = replace(first, arrays={})
    del first
    joined = {name: _join(values, place, kept.summed) for name, values in parts.items()}
    return replace(kept, clients=clients[order], arrays=joined, loss=loss[order])


def _exact(value: Uploaded) -> bool:
    """Whether this is as it was computed; fewer bits are for travelling."""
    return isinstance(value, Tensor) and value.dtype != torch.bfloat16


def _wide(value: Tensor) -> Tensor:
    return value if _exact(value) else value.float()


def _join(parts: list[Uploaded], place: tuple[Tensor, ...], summed: bool) -> Uploaded:
    """One array of many; part p's clients go to ``place[p]``."""
    rows = [part for part in parts if isinstance(part, Rows)]
    coarse = [part for part in parts if isinstance(part, Quantised)]
    thin = [part for part in parts if isinstance(part, LowRank)]
    tensors = [part for part in parts if isinstance(part, Tensor)]
    parts.clear()
    if rows:
        return Rows.cat(rows, place)
    if coarse:
        return Quantised.cat(coarse).select(torch.cat(place).argsort())
    if thin:
        return LowRank.cat(thin).select(torch.cat(place).argsort())
    if summed:
        return torch.stack(tensors).sum(0)
    return torch.cat(tensors)[torch.cat(place).argsort()]
