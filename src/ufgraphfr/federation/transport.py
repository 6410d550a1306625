"""How tasks reach clients and reports come back: in memory, or through their bytes.

A transport is one method, `exchange`. Both of these simulate the clients in this process.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ufgraphfr.algorithms.capabilities import integer_bounds
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, Task
from ufgraphfr.federation import codec
from ufgraphfr.federation.simulation import Clients
from ufgraphfr.federation.validation.check import Reason


@dataclass(frozen=True)
class Response:
    """A report and what it cost to get.

    Attributes:
        asked: int64 ``[clients]``, whom the request was for.
        report: of some or all of them.
        bytes_down: encoded size of one client's task, without what lasts.
        bytes_up: encoded size of one client's report.
        bytes_once: size of what lasts in a task, which a client is sent once.
    """

    asked: Tensor
    report: Report
    bytes_down: float
    bytes_up: float
    bytes_once: float = 0.0


@dataclass(frozen=True)
class Rejected:
    """A reply that the server does not use.

    Attributes:
        asked: int64 ``[clients]``, whom the request was for.
        reason: which of `RULES` it broke, for counters.
    """

    asked: Tensor
    reason: Reason


class Transport(Protocol):
    """Carries tasks to clients and reports back."""

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response | Rejected]:
        """Ask every client of a cohort once.

        Args:
            task_for: makes the task of some clients, int64 ``[n]``.
            cohort: int64 ``[clients]``.
            key: seed and round.
        """


class Local:
    """Messages stay tensors; the bytes of one client's are measured once for each kind of task."""

    def __init__(self, clients: Clients) -> None:
        """Carries messages to simulated clients."""
        self.clients = clients

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response]:
        """See `Transport.exchange`."""
        down = up = once = 0.0
        for number, asked in enumerate(self.clients.chunks(cohort)):
            task = task_for(asked)
            if number == 0:
                once = float(task.cacheable_bytes)
                down = len(codec.encode_task(task.select(asked.new_zeros(1)))) - once
                up = self.clients.bytes_up(task, key)
            yield Response(asked, self.clients.answer(task, key), down, up, once)


class Loopback:
    """Every message goes through its bytes, as it would over a network."""

    def __init__(self, clients: Clients) -> None:
        """Carries messages to simulated clients."""
        self.clients = clients

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response]:
        """See `Transport.exchange`."""
        bounds = integer_bounds(self.clients.algorithm)
        for asked in self.clients.chunks(cohort):
            task = task_for(asked)
            down = codec.encode_task(task)
            answer = self.clients.answer(codec.decode_task(down, task.aggregation), key)
            up = codec.encode_report(answer, bounds)
            report = codec.decode_report(up)
            share = 1 if report.aggregation is Aggregation.SUM else len(asked)
            once = task.cacheable_bytes
            each = (len(down) - once) / len(asked)
            yield Response(asked, report, each, len(up) / share, once / len(asked))


TRANSPORTS: dict[str, Callable[[Clients], Transport]] = {"local": Local, "loopback": Loopback}
