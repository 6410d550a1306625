"""How tasks reach clients and reports come back: in memory, or through their bytes.

A transport is one method, `exchange`. Both of these simulate the clients in this process.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, Task, combine
from ufgraphfr.data.shards import Shard
from ufgraphfr.federation import codec
from ufgraphfr.federation.client import respond
from ufgraphfr.federation.store import MemoryStore
from ufgraphfr.privacy.base import Mechanism


@dataclass(frozen=True)
class Answer:
    """A report and what it cost to get.

    Attributes:
        report: of some clients.
        bytes_down: encoded size of one client's task.
        bytes_up: encoded size of one client's report.
    """

    report: Report
    bytes_down: float
    bytes_up: float


class Transport(Protocol):
    """Carries tasks to clients and reports back."""

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Answer]:
        """Ask every client of a cohort once.

        Args:
            task_for: makes the task of some clients, int64 ``[n]``.
            cohort: int64 ``[clients]``.
            key: seed and round.
        """


class Clients(Protocol):
    """Simulated clients: who is asked together, and what they answer."""

    def chunks(self, cohort: Tensor) -> Iterator[Tensor]:
        """The cohort, int64 ``[clients]``, in groups."""

    def answer(self, task: Task, key: Key) -> Report:
        """Let the clients of a task train."""


@dataclass(frozen=True)
class Simulation:
    """All clients, in this process.

    Attributes:
        algorithm, mechanism: what every client runs.
        shard: everybody's data; client u is at place u.
        store: everybody's private weights.
        chunk: clients stacked at once.
    """

    algorithm: Algorithm
    mechanism: Mechanism
    shard: Shard
    store: MemoryStore
    chunk: int

    def chunks(self, cohort: Tensor) -> Iterator[Tensor]:
        """Clients with like amounts of data together, so that little is padding."""
        order = self.shard.counts[cohort].argsort(descending=True, stable=True)
        # split() would make one empty chunk of nobody
        yield from cohort[order].split(self.chunk) if len(cohort) else ()

    def answer(self, task: Task, key: Key) -> Report:
        """Let the clients of a task train; their new weights are stored."""
        return self._answer(task, key, apart=False)

    def apart(self, task: Task, key: Key) -> Report:
        """The same with each client's own reply, also where the server needs only their sum.

        Where training itself sums over clients, they are asked one by one.
        """
        places = torch.arange(len(task.clients), device=task.clients.device)
        first = self._answer(task.select(places[:1]), key, apart=True)
        if len(places) == 1:
            return first.apart()
        if not first.summed:
            return combine([first, self._answer(task.select(places[1:]), key, apart=True)])
        alone = [self._answer(task.select(place), key, apart=True) for place in places[1:].split(1)]
        return combine([report.apart() for report in (first, *alone)])

    def _answer(self, task: Task, key: Key, apart: bool) -> Report:
        clients = task.clients
        mine = self.store.gather(clients)
        shard = self.shard.select(clients)
        report, after = respond(self.algorithm, self.mechanism, task, shard, mine, key, apart)
        self.store.scatter(clients, after)
        return report


class Local:
    """Messages stay tensors; one client's bytes are measured on the first chunk of a round."""

    def __init__(self, simulation: Clients) -> None:
        """Carries messages to the clients of ``simulation``."""
        self.simulation = simulation

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Answer]:
        """See `Transport.exchange`."""
        down = up = 0.0
        for number, clients in enumerate(self.simulation.chunks(cohort)):
            task = task_for(clients)
            report = self.simulation.answer(task, key)
            if number == 0:
                one = torch.zeros(1, dtype=torch.int64, device=clients.device)
                down = float(len(codec.encode_task(task.select(one))))
                up = float(len(codec.encode_report(report.of_one())))
            yield Answer(report, down, up)


class Loopback:
    """Every message goes through its bytes, as it would over a network."""

    def __init__(self, simulation: Clients) -> None:
        """Carries messages to the clients of ``simulation``."""
        self.simulation = simulation

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Answer]:
        """See `Transport.exchange`."""
        for clients in self.simulation.chunks(cohort):
            down = codec.encode_task(task_for(clients))
            up = codec.encode_report(self.simulation.answer(codec.decode_task(down), key))
            report = codec.decode_report(up)
            share = 1 if report.summed else len(clients)
            yield Answer(report, len(down) / len(clients), len(up) / share)


TRANSPORTS: dict[str, Callable[[Clients], Transport]] = {"local": Local, "loopback": Loopback}
