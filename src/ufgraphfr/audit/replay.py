"""Replay: a finished run goes on for some rounds, through the real client and server, recorded.

Rounds that ask everyone once (an item graph's) are run first, from the initial weights, as they
were in the run; then the rounds after the checkpoint. A run under a privacy budget has no rounds
left, so it is played again from its start, with noise and a ledger of its own. Nothing is written
to the run's checkpoint or ledger, and nothing is released: figures about a simulation are.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import asks_all_clients
from ufgraphfr.audit.recording import Published, Recording, Upload, dissect, nbytes
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Aggregation, Report, Task
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.federation import honest
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.experiment.privacy_plan import calibrate, model_in_use
from ufgraphfr.experiment.run_folder import Checkpoint
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.loop import rounds
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transport import Local, Response
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.base import Mechanism

logger = logging.getLogger(__name__)

LARGEST_BYTES = 2**30
"""Of recorded uploads; later ones are not kept."""
VICTIMS_AT_ONCE = 16
"""Victims whose uploads are recorded together."""


@dataclass
class Recorder:
    """A transport that asks the victims one by one and keeps what they send."""

    simulation: Simulation
    prepared: PreparedExperiment
    victims: Tensor
    uploads: list[Upload] = field(default_factory=list)
    bytes: int = 0

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response]:
        """See `Transport.exchange`."""
        watched = torch.isin(cohort, self.victims)
        # few at a time: a contribution to an item graph is large
        for clients in cohort[watched].split(VICTIMS_AT_ONCE) if bool(watched.any()) else ():
            task = task_for(clients)
            report = self.simulation.answer(replace(task, aggregation=Aggregation.PER_CLIENT), key)
            for place in torch.arange(len(report.clients)).split(1):
                self._keep(report.select(place))
            summed = task.aggregation is Aggregation.SUM
            yield Response(clients, report.total() if summed else report, 0.0, 0.0)
        if not bool(watched.all()):
            yield from Local(self.simulation).exchange(task_for, cohort[~watched], key)

    def _keep(self, report: Report) -> None:
        """Record what one client sent."""
        if self.bytes > LARGEST_BYTES:
            return
        tables, texts = dissect(report, self.simulation.algorithm, self.prepared)
        self.bytes += nbytes(tables, texts)
        self.uploads.append(Upload(report.round, int(report.clients), tables, texts))


@dataclass(frozen=True)
class FinishedRun:
    """A finished run, read again."""

    experiment: Experiment
    algorithm: Algorithm
    prepared: PreparedExperiment
    checkpoint: Checkpoint

    @property
    def trust(self) -> str:
        """Who sees single clients' uploads: under ``shard`` nobody but their own data holder."""
        return str(getattr(self.experiment.mechanism, "trust", "server"))

    def mechanism(self) -> Mechanism:
        """The run's mechanism, as before its first release."""
        return calibrate(
            self.experiment, self.algorithm, len(self.prepared.split.warm), Ledger(None)
        )

    def initial(self) -> Checkpoint:
        """The weights before the first round."""
        setting, algorithm = self.prepared.setting, self.algorithm
        private = algorithm.init_private(setting, self.prepared.batch)
        return Checkpoint(0, 0, 0.0, algorithm.init_server(setting), private)

    @classmethod
    def open(cls, folder: Path, data_dir: Path | None = None) -> "FinishedRun":
        """Read a run folder.

        Raises:
            InputError: not a finished federated run, or its data cannot be found or have changed.
        """
        run = Run(folder)
        experiment = run.experiment
        if not isinstance(experiment.model, Algorithm):
            raise InputError(
                f"{folder} is a run of {experiment.model.kind}, a centralised baseline: nothing "
                f"leaves a client that could be attacked; audit a federated algorithm"
            )
        prepared = run.prepared(data_dir)
        algorithm = model_in_use(experiment, prepared.setting)
        return cls(experiment, algorithm, prepared, run.checkpoint)


def record(run: FinishedRun, count: int, victims: int) -> Recording:
    """Replay rounds and record them.

    Args:
        run: the finished run.
        count: rounds after the checkpoint.
        victims: clients whose uploads are kept, drawn by the run's seed.
    """
    algorithm, seed = run.algorithm, run.prepared.setting.seed
    watched = _draw(torch.from_numpy(run.prepared.split.warm), victims, seed)
    uploads: list[Upload] = []
    published: list[Published] = []
    is_private = run.mechanism().is_private
    start = run.initial() if is_private else run.checkpoint
    count = run.experiment.federation.rounds if is_private else count
    first = sum(
        asks_all_clients(algorithm, n) for n in range(1, run.experiment.federation.rounds + 1)
    )
    if not is_private and asks_all_clients(algorithm, 1):
        _replay(run, run.initial(), first, watched, uploads, published)
    _replay(run, start, count, watched, uploads, published)
    if run.trust == "shard":
        uploads.clear()  # a single client's upload never leaves its data holder
    return Recording(
        experiment=run.experiment,
        algorithm=algorithm,
        mechanism=run.mechanism(),
        trust=run.trust,
        prepared=run.prepared,
        state=start.server,
        private_state=PrivateState(start.private),
        round=start.round,
        rounds=count,
        victims=watched,
        uploads=tuple(uploads),
        published=tuple(published),
    )


def _draw(clients: Tensor, count: int, seed: int) -> Tensor:
    words = Key(seed, purpose=Purpose.VICTIMS).words(clients, 0, 1)[:, 0]
    return clients[words.argsort(stable=True)[:count]].sort().values


def _replay(
    run: FinishedRun,
    start: Checkpoint,
    count: int,
    victims: Tensor,
    uploads: list[Upload],
    published: list[Published],
) -> None:
    """Run ``count`` rounds after a checkpoint; add uploads and sums to the lists."""
    experiment, algorithm = run.experiment, run.algorithm
    # copies: rounds change the clients' weights in place
    private_state = PrivateState({name: value.clone() for name, value in start.private.items()})
    mechanism = run.mechanism()
    device = run.prepared.batch.items.device
    simulation = honest(experiment, algorithm, mechanism, run.prepared, private_state, device)
    recorder = Recorder(simulation, run.prepared, victims)
    compressed = experiment.federation.upload is not None
    for done in rounds(
        Aggregator(algorithm, run.prepared.setting, per_client=compressed),
        mechanism,
        recorder,
        experiment.federation.model_copy(update={"rounds": start.round + count}),
        torch.from_numpy(run.prepared.split.warm),
        start.server,
        Key(experiment.seed),
        first=start.round + 1,
    ):
        logger.info("replayed round %d: %d clients", done.number, done.clients)
        if done.released is None:
            continue
        summed = done.released.aggregation is Aggregation.SUM
        parts = dissect(done.released, algorithm, run.prepared) if summed else ({}, {})
        published.append(Published(done.number, done.released.clients, *parts))
    uploads += recorder.uploads
