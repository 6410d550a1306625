"""The loop: a generator of rounds; evaluation, checkpoints and progress consume it."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import asks_all_clients
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, State, Task, gather
from ufgraphfr.core.workers import workers
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.cohort import FederationSpec, answering, draw_cohort
from ufgraphfr.federation.spread import everybodys
from ufgraphfr.federation.transport import Rejected, Transport
from ufgraphfr.privacy.base import Mechanism


@dataclass(frozen=True)
class Round:
    """One finished round.

    Attributes:
        number: from 1.
        state: the server's memory after it.
        clients: how many took part; fewer than were asked where some did not answer.
        loss: their mean training loss; NaN if none took part, or if no loss may leave a device.
        train_seconds: wall time of the clients' work.
        aggregate_seconds: wall time of the server's work.
        cpu_seconds: CPU time of both, all threads.
        bytes_down: encoded bytes to one client, without what lasts.
        bytes_up: encoded bytes from one client.
        bytes_once: bytes of what lasts, to one client that has not been asked before.
        rejected: replies that validation refused, by reason.
        released: what the algorithm was given, of which all that is broadcast is made; None if
            nobody answered, or nobody asked to see it: a large one would be held for the next
            round's time.
    """

    number: int
    state: State
    clients: int
    loss: float
    train_seconds: float
    aggregate_seconds: float
    cpu_seconds: float
    bytes_down: float
    bytes_up: float
    bytes_once: float
    rejected: dict[str, int]
    released: Report | None


@dataclass(frozen=True)
class _Collected:
    """What came back in a round; bytes are those of `Response`, one for each report."""

    reports: list[Report] = field(default_factory=list)
    bytes_down: list[float] = field(default_factory=list)
    bytes_up: list[float] = field(default_factory=list)
    bytes_once: list[float] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)


def rounds(
    aggregator: Aggregator,
    mechanism: Mechanism,
    transport: Transport,
    spec: FederationSpec,
    clients: Tensor,
    state: State,
    key: Key,
    first: int = 1,
    seen: bool = False,
) -> Iterator[Round]:
    """Run the rounds ``first`` to ``spec.rounds``.

    Args:
        aggregator: the algorithm, and how replies become one.
        mechanism: what stands between update and release.
        transport: reaches the clients; see `CheckedTransport` for one that refuses what does not
            fit.
        spec: rounds and cohorts.
        clients: int64 ``[clients]``, who may be drawn.
        state: the server's memory before the first of these rounds.
        key: the seed.
        first: number of the first round.
        seen: whether each round tells what was released.
    """
    algorithm, state, group = aggregator.algorithm, row_major(state), workers()
    for number in range(first, spec.rounds + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        now = key.at(number)
        cohort = _cohort(algorithm, spec, clients, now, mechanism.is_private)
        collected = _collect(transport, _task_for(aggregator, state, number), cohort, now)
        reports = everybodys(aggregator, collected.reports, number, group)
        told = group.gathered(replace(collected, reports=[]))
        trained = time.perf_counter()
        answered = sum(len(report.clients) for report in reports)
        state, loss, released = _aggregated(aggregator, mechanism, reports, (state, now, seen))
        yield Round(
            number=number,
            state=state,
            clients=answered,
            loss=loss,
            train_seconds=trained - wall,
            aggregate_seconds=time.perf_counter() - trained,
            cpu_seconds=sum(group.gathered(time.process_time() - cpu)),
            bytes_down=_mean([each for own in told for each in own.bytes_down]),
            bytes_up=_mean([each for own in told for each in own.bytes_up]),
            bytes_once=_mean([each for own in told for each in own.bytes_once]),
            rejected=dict(sum((own.rejected for own in told), Counter[str]())),
            released=released,
        )


def row_major(state: State) -> State:
    """The same arrays, laid out in memory as a checkpoint lays them out.

    Sums depend in their last digit on the order of their terms, and this on the layout: only so
    does a resumed run equal an uninterrupted one.
    """
    if all(value.is_contiguous() for value in state.values()):
        return state
    return {name: value.contiguous() for name, value in state.items()}


def _cohort(
    algorithm: Algorithm, spec: FederationSpec, clients: Tensor, key: Key, secret: bool
) -> Tensor:
    """Who is asked and answers, int64, ascending."""
    if asks_all_clients(algorithm, key.round):
        return clients
    # no seed tells the others what the first worker has drawn
    drawn = workers().once(lambda: draw_cohort(spec, clients, key, secret))
    return answering(spec, drawn, key)


def _task_for(aggregator: Aggregator, state: State, number: int) -> Callable[[Tensor], Task]:
    """Makes the task of some clients; what their replies must be is decided here, once."""
    aggregation = aggregator.asked(number)

    def task_for(clients: Tensor) -> Task:
        task = aggregator.algorithm.broadcast(state, clients, number)
        return replace(task, aggregation=aggregation)

    return task_for


def _collect(
    transport: Transport, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
) -> _Collected:
    """Ask a cohort, or this worker's share of it; replies that were rejected are counted."""
    collected, cohort = _Collected(), cohort[workers().own(cohort)]
    for answer in transport.exchange(task_for, cohort, key):
        if isinstance(answer, Rejected):
            collected.rejected[answer.reason] += 1
            continue
        collected.bytes_down.append(answer.bytes_down)
        collected.bytes_up.append(answer.bytes_up)
        collected.bytes_once.append(answer.bytes_once)
        collected.reports.append(answer.report)
        # it would hold its arrays while they are added up
        del answer
        gather(collected.reports)
    return collected


def _aggregated(
    aggregator: Aggregator,
    mechanism: Mechanism,
    reports: list[Report],
    now: tuple[State, Key, bool],
) -> tuple[State, float, Report | None]:
    """The memory after these replies, their mean loss and, if asked for, what was released.

    ``now`` is the memory before, the round's key and whether what was released is seen. The list of
    replies is emptied.
    """
    state, key, seen = now
    if not reports:
        return state, math.nan, None
    report = mechanism.finalize(aggregator.combined(reports), key)
    loss = _mean_loss(report, mechanism)
    # the algorithm may take what it is given, see `Report.taken`
    released = replace(report, arrays=dict(report.arrays)) if seen else None
    return row_major(aggregator.algorithm.aggregate(state, report)), loss, released


def _mean_loss(released: Report, mechanism: Mechanism) -> float:
    """The clients' mean loss; NaN if no loss may leave a device."""
    return math.nan if mechanism.is_private else float(released.loss.mean())


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
