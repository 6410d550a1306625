"""The loop: a generator of rounds; evaluation, checkpoints and progress consume it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, State, combine
from ufgraphfr.federation.cohort import FederationSpec, answering, draw_cohort
from ufgraphfr.federation.transport import Transport
from ufgraphfr.privacy.base import Mechanism


@dataclass(frozen=True)
class Round:
    """One finished round.

    Attributes:
        number: from 1.
        state: the server's memory after it.
        clients: how many took part; fewer than were asked where some did not answer.
        loss: their mean training loss; NaN if none took part.
        train_seconds: wall time of the clients' work.
        aggregate_seconds: wall time of the server's work.
        cpu_seconds: CPU time of both, all threads.
        bytes_down: encoded bytes to one client.
        bytes_up: encoded bytes from one client.
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


def rounds(
    algorithm: Algorithm,
    mechanism: Mechanism,
    transport: Transport,
    spec: FederationSpec,
    clients: Tensor,
    state: State,
    key: Key,
    first: int = 1,
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
    """
    for number in range(first, spec.rounds + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        now = key.at(number)
        everyone = algorithm.everyone(number)
        cohort = clients if everyone else answering(spec, draw_cohort(spec, clients, now), now)
        task_for = partial(algorithm.broadcast, state, round_number=number)
        reports, down, up = [], [], []
        for answer in transport.exchange(task_for, cohort, now):
            reports.append(answer.report)
            down.append(answer.bytes_down)
            up.append(answer.bytes_up)
        trained, answered = time.perf_counter(), sum(len(report.clients) for report in reports)
        state, loss = _release(algorithm, mechanism, state, reports, now)
        yield Round(
            number=number,
            state=state,
            clients=answered,
            loss=loss,
            train_seconds=trained - wall,
            aggregate_seconds=time.perf_counter() - trained,
            cpu_seconds=time.process_time() - cpu,
            bytes_down=_mean(down),
            bytes_up=_mean(up),
        )


def _release(
    algorithm: Algorithm, mechanism: Mechanism, state: State, reports: list[Report], key: Key
) -> tuple[State, float]:
    """What the server makes of a round's reports; nothing, if nobody answered."""
    if not reports:
        return state, float("nan")
    report = combine(reports)
    if algorithm.release == "sum":
        report = report.total()
    report = mechanism.finalize(report, key)
    return algorithm.aggregate(state, report), float(report.loss.mean())


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
