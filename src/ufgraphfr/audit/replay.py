"""Replay: a finished run goes on for some rounds, through the real client and server, recorded.

Rounds that ask everyone once (an item graph's) are run first, from the initial weights, as they
were in the run; then the rounds after the checkpoint. A run under a privacy budget has no rounds
left, so it is played again from its start, with noise and a ledger of its own. Nothing is written
to the run's checkpoint or ledger, and nothing is released: figures about a simulation are.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ufgraphfr.algorithms.capabilities import asks_all_clients
from ufgraphfr.audit.recording import FinishedRun, Published, Recording, Upload, dissect
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Aggregation, Report, Task
from ufgraphfr.experiment.checkpoint import Checkpoint
from ufgraphfr.experiment.federation import honest
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.loop import rounds
from ufgraphfr.federation.private_state import private_state
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transport import Response
from ufgraphfr.federation.transports.local import Local

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
            yield from Local().exchange(self.simulation, task_for, cohort[~watched], key)

    def _keep(self, report: Report) -> None:
        """Record what one client sent."""
        if self.bytes > LARGEST_BYTES:
            return
        tables, texts = dissect(report, self.simulation.algorithm, self.prepared)
        self.bytes += sum(value.nbytes for value in (*tables.values(), *texts.values()))
        self.uploads.append(Upload(report.round, int(report.clients), tables, texts))


def record(run: FinishedRun, count: int, victims: int) -> Recording:
    """Replay rounds and record them.

    Args:
        run: the finished run.
        count: rounds after the checkpoint.
        victims: clients whose uploads are kept, drawn by the run's seed.
    """
    algorithm, prepared, planned = run.algorithm, run.prepared, run.experiment.federation.rounds
    watched = _draw(torch.from_numpy(prepared.split.warm), victims, prepared.setting.seed)
    mechanism, played = run.fresh_mechanism(), []
    if mechanism.is_private:
        start, count = _initial(run), planned
    else:
        start = run.checkpoint
        if asks_all_clients(algorithm, 1):
            asked = sum(asks_all_clients(algorithm, number + 1) for number in range(planned))
            played.append(_replay(run, _initial(run), asked, watched))
    played.append(_replay(run, start, count, watched))
    # under `shard` and `secure-sum` a single client's upload never leaves its data holder
    uploads = () if run.trust != "server" else (upload for own, _ in played for upload in own)
    return Recording(
        experiment=run.experiment,
        algorithm=algorithm,
        prepared=prepared,
        checkpoint=start,
        mechanism=mechanism,
        rounds=count,
        victims=watched,
        uploads=tuple(uploads),
        published=tuple(public for _, own in played for public in own),
    )


def unwatched(run: FinishedRun) -> Recording:
    """A recording of a run whose users' rows are elsewhere: nobody is watched."""
    private = run.fresh_mechanism().is_private
    return Recording(
        experiment=run.experiment,
        algorithm=run.algorithm,
        prepared=run.prepared,
        checkpoint=_initial(run) if private else run.checkpoint,
        agreed=run.agreed,
        mechanism=run.fresh_mechanism(),
        rounds=0,
        victims=torch.zeros(0, dtype=torch.int64),
        uploads=(),
        published=(),
    )


def _initial(run: FinishedRun) -> Checkpoint:
    """The weights before the first round."""
    setting, algorithm = run.prepared.setting, run.algorithm
    private = algorithm.init_private(setting, run.prepared.batch.with_own_text())
    return Checkpoint(0, 0, 0.0, algorithm.init_server(setting), private)


def _draw(clients: Tensor, count: int, seed: int) -> Tensor:
    words = Key(seed, purpose=Purpose.VICTIMS).words(clients, 0, 1)[:, 0]
    return clients[words.argsort(stable=True)[:count]].sort().values


def _replay(
    run: FinishedRun, start: Checkpoint, count: int, victims: Tensor
) -> tuple[list[Upload], list[Published]]:
    """Run ``count`` rounds after a checkpoint."""
    experiment, algorithm, prepared = run.experiment, run.algorithm, run.prepared
    # copies: rounds change the clients' weights in place
    store = private_state(algorithm, prepared.setting, start.private).copy()
    mechanism, device = run.fresh_mechanism(), prepared.batch.items.device
    simulation = honest(experiment, algorithm, mechanism, prepared, store, device)
    recorder, published = Recorder(simulation, prepared, victims), list[Published]()
    compressed = experiment.federation.upload is not None
    for done in rounds(
        Aggregator(algorithm, prepared.setting, per_client=compressed),
        mechanism,
        recorder,
        experiment.federation.model_copy(update={"rounds": start.round + count}),
        torch.from_numpy(prepared.split.warm),
        start.server,
        Key(experiment.seed),
        first=start.round + 1,
        seen=True,
    ):
        logger.info("replayed round %d: %d clients", done.number, done.clients)
        if done.released is None:
            continue
        summed = done.released.aggregation is Aggregation.SUM
        parts = dissect(done.released, algorithm, prepared) if summed else ({}, {})
        published.append(Published(done.number, done.released.clients, *parts))
    return recorder.uploads, published
