"""The client: the one function that reads a client's data in training, and what it lets out.

Simulation calls it with a chunk of clients, a phone with one, a silo with its users.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Update
from ufgraphfr.algorithms.capabilities import asks_all_clients, matrices
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import (
    Aggregation,
    Private,
    Report,
    Task,
    combine,
    one_row,
    per_client,
)
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.upload import UploadSpec
from ufgraphfr.privacy.base import Mechanism

TaskKind: TypeAlias = Hashable
"""What replies to a task look like depends on this alone, see `task_kind`."""


def task_kind(task: Task, algorithm: Algorithm) -> TaskKind:
    """All of a task that decides the names, shapes and kinds of numbers in one client's reply.

    These are the names, shapes and kinds of numbers in the task, and what the reply must be. Where
    all clients are asked, each round may ask for other arrays.
    """
    return (
        task.round if asks_all_clients(algorithm, task.round) else None,
        task.aggregation,
        tuple((name, value.shape, value.dtype) for name, value in task.shared.items()),
        tuple((name, tables.shape[1:]) for name, tables in task.personal.items()),
    )


@dataclass(frozen=True)
class Request:
    """What some clients are asked, and what they know.

    Attributes:
        task: the server's part; its ``aggregation`` says what the reply must be.
        batch: their data, in the task's order.
        private: their weights, likewise; not modified.
        key: seed and round of all randomness.
    """

    task: Task
    batch: ClientBatch
    private: Private
    key: Key

    def select(self, places: Tensor) -> "Request":
        """The request of some of the clients, int64 ``[n]``, in that order."""
        private = {name: value[places] for name, value in self.private.items()}
        return Request(self.task.select(places), self.batch.select(places), private, self.key)


@dataclass(frozen=True)
class Client:
    """What every client runs.

    Attributes:
        algorithm: both sides' arithmetic.
        mechanism: what may leave.
        upload: how each client's update is bounded and compressed; None leaves it as it is.
    """

    algorithm: Algorithm
    mechanism: Mechanism
    upload: UploadSpec | None = None

    def respond(self, request: Request) -> tuple[Report, Private]:
        """Train locally and release what the mechanism lets through.

        Returns:
            The report, and the new private weights, both in the order of the task's clients.
        """
        counts = request.batch.counts
        if not bool((counts.diff() > 0).any()):
            return self._respond(request)
        # those with most interactions first, and back in their order
        order = counts.argsort(descending=True, stable=True)
        back = order.argsort()
        report, after = self._respond(request.select(order))
        after = {name: value[back] for name, value in after.items()}
        if report.aggregation is Aggregation.PER_CLIENT:
            return report.select(back), after
        return replace(report, clients=request.task.clients, loss=report.loss[back]), after

    def _respond(self, request: Request) -> tuple[Report, Private]:
        task, key = request.task, request.key
        # what bounds, noises or compresses single updates must see them before they are added up
        single = self.mechanism.per_client or self.upload is not None
        training = Aggregation.PER_CLIENT if single else task.aggregation
        update, after = self.algorithm.local(
            replace(task, aggregation=training), request.batch, request.private, key
        )
        if update.summed:
            return self._respond_with_sum(request, update, after)
        arrays = self.mechanism.privatize(per_client(update.arrays), task.clients, key)
        report = Report(
            task.round, task.clients, arrays, Aggregation.PER_CLIENT, self._loss(update)
        )
        if self.upload is not None:
            held = matrices(self.algorithm, task)
            sent = self.upload.prepared(arrays, task.clients, key, held)
            report = replace(report, arrays=sent)
        return report.total() if task.aggregation is Aggregation.SUM else report, after

    def _respond_with_sum(
        self, request: Request, update: Update, after: Private
    ) -> tuple[Report, Private]:
        """The reply of an algorithm that cannot but add up its clients' updates."""
        task, key = request.task, request.key
        if self.mechanism.is_private:
            raise InputError(
                f"{self.algorithm.kind} adds up its clients' updates before any of them is "
                f"clipped: it has no private form; choose another algorithm, or "
                f"[privacy] kind = 'none'"
            )
        single = self.mechanism.per_client or task.aggregation is Aggregation.PER_CLIENT
        if single and len(task.clients) > 1:
            return self._one_by_one(request)
        sums = one_row(update.arrays)
        if task.aggregation is Aggregation.PER_CLIENT:
            # the sum over one client is that client's own, for anybody to look at
            sums = per_client({name: value.dense() for name, value in sums.items()})
        arrays = self.mechanism.privatize(sums, task.clients, key)
        return Report(task.round, task.clients, arrays, task.aggregation, self._loss(update)), after

    def _one_by_one(self, request: Request) -> tuple[Report, Private]:
        places = torch.arange(len(request.task.clients), device=request.task.clients.device)
        alone = [self._respond(request.select(place)) for place in places.split(1)]
        names = alone[0][1]
        after = {name: torch.cat([private[name] for _, private in alone]) for name in names}
        report = combine([report for report, _ in alone])
        # combined replies are in the order of client numbers
        back = request.task.clients.argsort().argsort()
        if report.aggregation is Aggregation.PER_CLIENT:
            return report.select(back), after
        return replace(report, clients=request.task.clients, loss=report.loss[back]), after

    def _loss(self, update: Update) -> Tensor:
        # a loss tells about its client's data, and no budget pays for it
        return torch.zeros_like(update.loss) if self.mechanism.is_private else update.loss
