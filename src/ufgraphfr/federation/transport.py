"""How tasks reach clients and reports come back: in memory, or through their bytes.

A transport is one method, `exchange`. Both of these simulate the clients in this process.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import integer_bounds
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Private, Report, Task, combine
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation import codec
from ufgraphfr.federation.client import respond
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.upload import UploadSpec
from ufgraphfr.privacy.base import Mechanism


@dataclass(frozen=True)
class Response:
    """A report and what it cost to get.

    Attributes:
        report: of some clients.
        bytes_down: encoded size of one client's task, without what lasts.
        bytes_up: encoded size of one client's report.
        bytes_once: size of what lasts in a task, which a client is sent once.
    """

    report: Report
    bytes_down: float
    bytes_up: float
    bytes_once: float = 0.0


class Transport(Protocol):
    """Carries tasks to clients and reports back."""

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response]:
        """Ask every client of a cohort once.

        Args:
            task_for: makes the task of some clients, int64 ``[n]``.
            cohort: int64 ``[clients]``.
            key: seed and round.
        """


class Clients(Protocol):
    """Simulated clients: who is asked together, and what they answer."""

    @property
    def algorithm(self) -> Algorithm:
        """What every client runs."""

    def chunks(self, cohort: Tensor) -> Iterator[Tensor]:
        """The cohort, int64 ``[clients]``, in groups."""

    def answer(self, task: Task, key: Key) -> Report:
        """Let the clients of a task train."""

    def bytes_up(self, task: Task, key: Key) -> float:
        """The encoded size of what the first client of a task would answer alone."""


@dataclass(frozen=True)
class Simulation:
    """All clients, in this process.

    Attributes:
        algorithm, mechanism: what every client runs.
        batch: everybody's data; client u is at place u.
        store: everybody's private weights.
        chunk: clients stacked at once.
        upload: how updates are bounded and compressed.
    """

    algorithm: Algorithm
    mechanism: Mechanism
    batch: ClientBatch
    store: PrivateState
    chunk: int
    upload: UploadSpec | None = None

    def chunks(self, cohort: Tensor) -> Iterator[Tensor]:
        """Clients with like amounts of data together, so that little is padding."""
        order = self.batch.counts[cohort].argsort(descending=True, stable=True)
        # split() would make one empty chunk of nobody
        yield from cohort[order].split(self.chunk) if len(cohort) else ()

    def answer(self, task: Task, key: Key) -> Report:
        """Let the clients of a task train; their new weights are stored."""
        return self._stored(task, key, self.algorithm, apart=False)

    def apart(self, task: Task, key: Key) -> Report:
        """The same with each client's own reply, also where the server needs only their sum.

        Where training cannot but sum over clients, they are asked one by one.
        """
        algorithm = self.algorithm.apart()
        places = torch.arange(len(task.clients), device=task.clients.device)
        first = self._stored(task.select(places[:1]), key, algorithm, apart=True)
        if len(places) == 1:
            return first.apart()
        if not first.summed:
            rest = self._stored(task.select(places[1:]), key, algorithm, apart=True)
            return combine([first, rest])
        alone = [
            self._stored(task.select(place), key, algorithm, apart=True)
            for place in places[1:].split(1)
        ]
        return combine([report.apart() for report in (first, *alone)])

    def _stored(self, task: Task, key: Key, algorithm: Algorithm, apart: bool) -> Report:
        report, after = self._respond(task, key, algorithm, apart)
        self.store.scatter(task.clients, after)
        return report

    def bytes_up(self, task: Task, key: Key) -> float:
        """The encoded size of what the first client of a task would answer alone."""
        first = task.select(task.clients.new_zeros(1))
        return float(
            len(
                codec.encode_report(
                    self._respond(first, key, self.algorithm)[0],
                    integer_bounds(self.algorithm),
                )
            )
        )

    def _respond(
        self, task: Task, key: Key, algorithm: Algorithm, apart: bool = False
    ) -> tuple[Report, Private]:
        mine = self.store.gather(task.clients)
        batch = self.batch.select(task.clients)
        return respond(algorithm, self.mechanism, task, batch, mine, key, self.upload, apart)


class Local:
    """Messages stay tensors; one client's bytes are measured on the first chunk of a round."""

    def __init__(self, simulation: Clients) -> None:
        """Carries messages to the clients of ``simulation``."""
        self.simulation = simulation

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response]:
        """See `Transport.exchange`."""
        down = up = once = 0.0
        for number, clients in enumerate(self.simulation.chunks(cohort)):
            task = task_for(clients)
            if number == 0:
                one = torch.zeros(1, dtype=torch.int64, device=clients.device)
                once = float(task.cacheable_bytes)
                down = len(codec.encode_task(task.select(one))) - once
                up = self.simulation.bytes_up(task, key)
            yield Response(self.simulation.answer(task, key), down, up, once)


class Loopback:
    """Every message goes through its bytes, as it would over a network."""

    def __init__(self, simulation: Clients) -> None:
        """Carries messages to the clients of ``simulation``."""
        self.simulation = simulation

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response]:
        """See `Transport.exchange`."""
        for clients in self.simulation.chunks(cohort):
            task = task_for(clients)
            down = codec.encode_task(task)
            answer = self.simulation.answer(codec.decode_task(down), key)
            up = codec.encode_report(answer, integer_bounds(self.simulation.algorithm))
            report = codec.decode_report(up)
            share = 1 if report.summed else len(clients)
            once = task.cacheable_bytes
            each = (len(down) - once) / len(clients)
            yield Response(report, each, len(up) / share, once / len(clients))


TRANSPORTS: dict[str, Callable[[Clients], Transport]] = {"local": Local, "loopback": Loopback}
