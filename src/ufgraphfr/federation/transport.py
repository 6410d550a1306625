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
from ufgraphfr.core.messages import Private, Report, Task
from ufgraphfr.data.shards import Shard
from ufgraphfr.federation import codec
from ufgraphfr.federation.client import respond
from ufgraphfr.federation.store import MemoryStore
from ufgraphfr.federation.upload import UploadSpec
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


@dataclass(frozen=True)
class Simulation:
    """All clients, in this process.

    Attributes:
        algorithm, mechanism: what every client runs.
        shard: everybody's data; client u is at place u.
        store: everybody's private weights.
        chunk: clients stacked at once.
        upload: how updates are bounded and compressed.
    """

    algorithm: Algorithm
    mechanism: Mechanism
    shard: Shard
    store: MemoryStore
    chunk: int
    upload: UploadSpec | None = None

    def chunks(self, cohort: Tensor) -> Iterator[Tensor]:
        """Clients with like amounts of data together, so that little is padding."""
        order = self.shard.counts[cohort].argsort(descending=True, stable=True)
        # split() would make one empty chunk of nobody
        yield from cohort[order].split(self.chunk) if len(cohort) else ()

    def answer(self, task: Task, key: Key) -> Report:
        """Let the clients of a task train; their new weights are stored."""
        report, after = self._respond(task, key)
        self.store.scatter(task.clients, after)
        return report

    def bytes_up(self, task: Task, key: Key) -> float:
        """The encoded size of what the first client of a task would answer alone."""
        first = task.select(task.clients.new_zeros(1))
        return float(len(codec.encode_report(self._respond(first, key)[0], self.algorithm.whole)))

    def _respond(self, task: Task, key: Key) -> tuple[Report, Private]:
        mine = self.store.gather(task.clients)
        shard = self.shard.select(task.clients)
        return respond(self.algorithm, self.mechanism, task, shard, mine, key, self.upload)


class Local:
    """Messages stay tensors; one client's bytes are measured on the first chunk of a round."""

    def __init__(self, simulation: Simulation) -> None:
        """Carries messages to the clients of ``simulation``."""
        self.simulation = simulation

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Answer]:
        """See `Transport.exchange`."""
        down = up = 0.0
        for number, clients in enumerate(self.simulation.chunks(cohort)):
            task = task_for(clients)
            if number == 0:
                one = torch.zeros(1, dtype=torch.int64, device=clients.device)
                down = float(len(codec.encode_task(task.select(one))))
                up = self.simulation.bytes_up(task, key)
            yield Answer(self.simulation.answer(task, key), down, up)


class Loopback:
    """Every message goes through its bytes, as it would over a network."""

    def __init__(self, simulation: Simulation) -> None:
        """Carries messages to the clients of ``simulation``."""
        self.simulation = simulation

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Answer]:
        """See `Transport.exchange`."""
        for clients in self.simulation.chunks(cohort):
            down = codec.encode_task(task_for(clients))
            answer = self.simulation.answer(codec.decode_task(down), key)
            up = codec.encode_report(answer, self.simulation.algorithm.whole)
            report = codec.decode_report(up)
            share = 1 if report.summed else len(clients)
            yield Answer(report, len(down) / len(clients), len(up) / share)


TRANSPORTS: dict[str, Callable[[Simulation], Transport]] = {"local": Local, "loopback": Loopback}
