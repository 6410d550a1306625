"""How tasks reach clients and reports come back: one method, `exchange`.

`transports` holds those to simulated clients; a deployment has one to its nodes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, Task
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
