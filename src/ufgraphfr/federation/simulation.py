"""All clients, in this process."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import integer_bounds, stacked_bytes
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Private, Report, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation import codec
from ufgraphfr.federation.client import Client, Request, TaskKind, task_kind
from ufgraphfr.federation.private_state import PrivateState

logger = logging.getLogger(__name__)

STACKED_BYTES = 2**30
"""What clients that are stacked by what they need may hold together."""


class Clients(Protocol):
    """Simulated clients: who is asked together, and what they reply."""

    @property
    def algorithm(self) -> Algorithm:
        """What every client runs."""

    def chunks(self, cohort: Tensor, round_number: int) -> Iterator[Tensor]:
        """The cohort of a round, int64 ``[clients]``, in groups."""

    def answer(self, task: Task, key: Key) -> Report:
        """Let the clients of a task train."""

    def bytes_up(self, task: Task, key: Key) -> float:
        """The encoded size of what the first client of a task would reply alone."""


@dataclass(frozen=True)
class Simulation:
    """Honest clients.

    Attributes:
        client: what every one runs.
        batch: everybody's data; client u is at place u.
        private_state: everybody's private weights.
        chunk: clients stacked at once.
    """

    client: Client
    batch: ClientBatch
    private_state: PrivateState
    chunk: int
    _bytes_up: dict[TaskKind, float] = field(default_factory=dict, init=False, compare=False)
    _told: set[str] = field(default_factory=set, init=False, compare=False)

    @property
    def algorithm(self) -> Algorithm:
        """See `Clients.algorithm`."""
        return self.client.algorithm

    def chunks(self, cohort: Tensor, round_number: int) -> Iterator[Tensor]:
        """Clients with like amounts of data together, so that little is padding."""
        ptr = self.batch.ptr
        counts, order = (ptr[cohort + 1] - ptr[cohort]).sort(descending=True, stable=True)
        held = stacked_bytes(self.algorithm, counts, self.batch.n_items, round_number)
        if held is not None:
            stack = (held.double().cumsum(0) / STACKED_BYTES).long()
            sizes = stack.unique_consecutive(return_counts=True)[1].tolist()
            self._tell(sizes)
            yield from cohort[order].split(sizes)
            return
        # split() would make one empty chunk of nobody
        yield from cohort[order].split(self.chunk) if len(cohort) else ()

    def _tell(self, sizes: list[int]) -> None:
        """How clients are stacked where the chunk does not say it, the first time."""
        if sizes and not self._told:
            self._told.add("stacks")
            logger.info(
                "item graph: %d stack(s) of %s to %s clients, by their interactions; [federation] "
                "chunk is for training",
                len(sizes),
                f"{min(sizes):,}",
                f"{max(sizes):,}",
            )

    def answer(self, task: Task, key: Key) -> Report:
        """Let the clients of a task train; their new weights are stored."""
        report, after = self._respond(task, key)
        self.private_state.scatter(task.clients, after)
        return report

    def bytes_up(self, task: Task, key: Key) -> float:
        """See `Clients.bytes_up`; measured once for each kind of task, see `task_kind`."""
        kind = task_kind(task, self.algorithm)
        if kind not in self._bytes_up:
            report, _ = self._respond(task.select(task.clients.new_zeros(1)), key)
            size = codec.report_size(report, integer_bounds(self.algorithm))
            self._bytes_up[kind] = float(size)
        return self._bytes_up[kind]

    def _respond(self, task: Task, key: Key) -> tuple[Report, Private]:
        batch = self.batch.select(task.clients)
        mine = self.private_state.gather(batch)
        return self.client.respond(Request(task, batch, mine, key))
