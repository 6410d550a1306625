"""Federated training with evaluation and checkpoints; it leaves the best checkpoint behind."""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ufgraphfr.algorithms.base import Algorithm, on
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.workers import workers
from ufgraphfr.evaluation.metrics import SELECTED_BY
from ufgraphfr.experiment.assess import Metrics
from ufgraphfr.experiment.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.outbox import Outbox
from ufgraphfr.experiment.phase import phase_of
from ufgraphfr.experiment.population import Population
from ufgraphfr.experiment.privacy_plan import check_total, expected_clients
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.experiment.soundness import check_somebody, watched
from ufgraphfr.federation.loop import Round, rounds
from ufgraphfr.federation.transport import Transport
from ufgraphfr.privacy.accounted.gaussian import NoisedSums
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.base import Mechanism

logger = logging.getLogger(__name__)


CHECKPOINT_SECONDS = 60.0
"""The most that a kill may cost, and the round it falls in."""


@dataclass(frozen=True)
class Progress:
    """A finished round, for whoever watches.

    Attributes:
        round: from 1.
        rounds: how many there will be.
        clients: how many took part; None under a guarantee, which may rest on its being secret.
        loss: their mean training loss, NaN if nobody took part.
        seconds: wall time of the round, evaluation and checkpoint included.
        validation: validation metrics, if this round was evaluated.
        line: what ``metrics.jsonl`` has of it, in full.
        phase: what such rounds do, empty if they train.
        phase_end: the last round that does.
    """

    round: int
    rounds: int
    clients: int | None
    loss: float
    seconds: float
    validation: Metrics | None
    line: dict[str, Any] = field(default_factory=dict)
    phase: str = ""
    phase_end: int | None = None


def train(
    experiment: Experiment,
    algorithm: Algorithm,
    population: Population,
    folder: RunFolder,
    device: torch.device,
) -> Iterator[Progress]:
    """Train from the last checkpoint, or from the start; yields after each round.

    Rounds are evaluated on validation every ``[evaluation] every``; the best one is kept in
    ``folder.best``. Between two a checkpoint is written each minute. A round's line is written
    before its checkpoint, so that a kill between the two leaves a line too many, which resuming
    cuts off, and never one too few.

    Under a privacy budget every round is kept, and the last one is the best: choosing a round or
    a blend on validation would be a release that nobody has paid for. What a round released is
    kept before it is paid for, so that a kill leads to the same release again; see `Outbox`.
    """
    ledger = Ledger(folder.ledger)
    mechanism = population.mechanism(algorithm, ledger)
    is_private = mechanism.is_private
    last = load_checkpoint(folder.latest, device) if folder.latest.exists() else None
    if is_private:
        _check_paid(ledger, last.round if last else 0)
        mechanism = _accounted(experiment, population, mechanism, folder)
    transport = population.begin(algorithm, mechanism, last)
    last = last or _before_the_first(algorithm, population, folder, is_private, device)
    best, kept_at = (last.best_round, last.best_value), time.monotonic()
    folder.cut_metrics(last.round)
    total, every = experiment.federation.rounds, experiment.evaluation.every
    clients = len(population.clients)
    steps = _rounds(experiment, algorithm, mechanism, population, transport, last)
    # the server's memory may be large: from here on the rounds alone hold it
    del last
    for done in watched(steps, is_private):
        started, state, validation = time.perf_counter(), done.state, None
        if done.number % every == 0 or done.number == total:
            state, validation = population.validate(state, done.number, pick=not is_private)
        line = _line(done, time.perf_counter() - started, validation)
        folder.append_metrics(line, expected_clients(experiment, algorithm, done.number, clients))
        due = workers().first(time.monotonic() - kept_at >= CHECKPOINT_SECONDS)
        if validation is not None or population.durable or is_private or due:
            value = done.number if is_private else _value(validation, done.number)
            best = _keep(replace(done, state=state), population, value, best, folder)
            kept_at = time.monotonic()
        spent = done.train_seconds + done.aggregate_seconds + time.perf_counter() - started
        told = None if is_private else done.clients
        phase = phase_of(algorithm, done.number, total, is_private)
        yield Progress(done.number, total, told, done.loss, spent, validation, line, *phase)
    check_somebody(folder.read_metrics())


def _before_the_first(
    algorithm: Algorithm,
    population: Population,
    folder: RunFolder,
    is_private: bool,
    device: torch.device,
) -> Checkpoint:
    """The initial weights, which are the model of a private run until a round is done."""
    server = on(device, population.initial(algorithm))
    first = Checkpoint(0, 0, -math.inf, server, population.private())
    if is_private:
        save_checkpoint(folder.best, first)
    return first


def _rounds(
    experiment: Experiment,
    algorithm: Algorithm,
    mechanism: Mechanism,
    population: Population,
    transport: Transport,
    last: Checkpoint,
) -> Iterator[Round]:
    """The rounds after a checkpoint."""
    if last.round:
        total = experiment.federation.rounds
        logger.info("going on after round %d of %d", last.round, total)
    # what is paid for elsewhere is given again there
    first = last.round + 1
    if isinstance(mechanism, Outbox):
        first = mechanism.first_after(last.round)
    if first > last.round + 1:
        logger.warning(
            f"rounds {last.round + 1} to {first - 1} are paid for and lost: what they released is "
            f"nowhere, and is never released twice"
        )
    return rounds(
        population.aggregator(algorithm, mechanism),
        mechanism,
        transport,
        experiment.federation,
        population.clients,
        last.server,
        Key(experiment.seed),
        first=first,
    )


def _accounted(
    experiment: Experiment, population: Population, mechanism: Mechanism, folder: RunFolder
) -> Mechanism:
    """The mechanism, with an outbox if noise is added here, and what the data have cost with it."""
    if not isinstance(mechanism, NoisedSums):
        return mechanism
    if population.registry is not None:
        check_total(experiment.mechanism, population.registry, mechanism.ledger)
    return Outbox(mechanism, folder.own / "outbox.safetensors", population.registry)


def _check_paid(ledger: Ledger, released: int) -> None:
    """All that was released is in the ledger.

    Raises:
        InputError: it is not.
    """
    if released > ledger.last_round:
        raise InputError(
            f"{ledger.path} ends with round {ledger.last_round}, but {released} rounds were "
            f"released: payments have been removed, and this run can promise nothing more"
        )


def _keep(
    done: Round, population: Population, value: float, best: tuple[int, float], folder: RunFolder
) -> tuple[int, float]:
    """Write the checkpoint, and before it the best one if this is it; the best round and value."""
    # as long as nothing was validated, what came last is the best
    better = value > best[1] or best[1] == -math.inf
    best = (done.number, value) if better else best
    checkpoint = Checkpoint(done.number, *best, done.state, population.private())
    if better:
        save_checkpoint(folder.best, checkpoint)
    save_checkpoint(folder.latest, checkpoint)
    population.checkpointed(done.number, best[0])
    return best


def _value(validation: Metrics | None, round_number: int) -> float:
    """By which the best round is picked: where nobody is asked, it is the last one."""
    if validation is None:
        return -math.inf
    return validation["full"].get(SELECTED_BY, round_number)


def _line(done: Round, evaluate_seconds: float, validation: Metrics | None) -> dict[str, Any]:
    return {
        "round": done.number,
        "clients": done.clients,
        "loss": done.loss if math.isfinite(done.loss) else None,
        "train_seconds": done.train_seconds,
        "aggregate_seconds": done.aggregate_seconds,
        "evaluate_seconds": evaluate_seconds,
        "cpu_seconds": done.cpu_seconds,
        "bytes_down": done.bytes_down,
        "bytes_up": done.bytes_up,
        "bytes_once": done.bytes_once,
        "rejected": done.rejected,
        "validation": validation,
    }
