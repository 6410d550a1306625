"""The loop: a generator of rounds; evaluation, checkpoints and progress consume it."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import asks_all_clients
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, State, Task, combine
from ufgraphfr.federation.cohort import FederationSpec, answering, draw_cohort
from ufgraphfr.federation.transport import Transport
from ufgraphfr.federation.validation.check import RejectedReply, check
from ufgraphfr.federation.validation.expected import Border
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
        rejected: replies that the border refused, by reason.
        released: what the algorithm was given, of which all that is broadcast is made; None if
            nobody answered.
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
    """What came back in a round."""

    reports: list[Report]
    bytes_down: list[float]
    bytes_up: list[float]
    bytes_once: list[float]
    rejected: dict[str, int]


def rounds(
    algorithm: Algorithm,
    mechanism: Mechanism,
    transport: Transport,
    spec: FederationSpec,
    clients: Tensor,
    state: State,
    key: Key,
    first: int = 1,
    border: Border | None = None,
) -> Iterator[Round]:
    """Run the rounds ``first`` to ``spec.rounds``.

    Args:
        algorithm: both sides' arithmetic.
        mechanism: what stands between update and release.
        transport: reaches the clients.
        spec: rounds and cohorts.
        clients: int64 ``[clients]``, who may be drawn.
        state: the server's memory before the first of these rounds.
        key: the seed.
        first: number of the first round.
        border: what the server lets in; None takes every reply as it comes.
    """
    state = row_major(state)
    for number in range(first, spec.rounds + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        now = key.at(number)
        everyone = asks_all_clients(algorithm, number)
        drawn = clients if everyone else draw_cohort(spec, clients, now, mechanism.is_private)
        cohort = drawn if everyone else answering(spec, drawn, now)
        task_for = partial(algorithm.broadcast, state, round_number=number)
        collected = _collect(transport, task_for, cohort, now, border)
        trained, answered = time.perf_counter(), sum(len(r.clients) for r in collected.reports)
        released = _release(mechanism, collected.reports, now, border, algorithm.release == "sum")
        if released is not None:
            state = row_major(algorithm.aggregate(state, released))
        yield Round(
            number=number,
            state=state,
            clients=answered,
            loss=_told(released, mechanism),
            train_seconds=trained - wall,
            aggregate_seconds=time.perf_counter() - trained,
            cpu_seconds=time.process_time() - cpu,
            bytes_down=_mean(collected.bytes_down),
            bytes_up=_mean(collected.bytes_up),
            bytes_once=_mean(collected.bytes_once),
            rejected=collected.rejected,
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


def _collect(
    transport: Transport,
    task_for: Callable[[Tensor], Task],
    cohort: Tensor,
    key: Key,
    border: Border | None,
) -> _Collected:
    """Ask a cohort; replies that do not fit are counted and dropped."""
    collected = _Collected([], [], [], [], {})
    expected = None
    if border is not None and len(cohort):
        expected = border.expected(task_for(cohort[:1]), cohort)
    for answer in transport.exchange(task_for, cohort, key):
        if expected is not None:
            try:
                check(answer.report, expected)
            except RejectedReply as refused:
                found = collected.rejected
                found[refused.reason] = found.get(refused.reason, 0) + 1
                continue
            expected = expected.without(answer.report.clients)
        collected.reports.append(answer.report)
        collected.bytes_down.append(answer.bytes_down)
        collected.bytes_up.append(answer.bytes_up)
        collected.bytes_once.append(answer.bytes_once)
    return collected


def _release(
    mechanism: Mechanism, reports: list[Report], key: Key, border: Border | None, sums: bool
) -> Report | None:
    """What the server makes of a round's reports; nothing, if nobody answered."""
    if not reports:
        return None
    report = combine(reports)
    report = report if border is None else border.defended(report)
    return mechanism.finalize(report.total() if sums else report, key)


def _told(released: Report | None, mechanism: Mechanism) -> float:
    """The clients' mean loss; NaN if nobody answered, or if no loss may leave a device."""
    if released is None or mechanism.is_private:
        return math.nan
    return float(released.loss.mean())


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
