"""Everybody the server can ask: simulated in this process, or reached over a network."""

import logging
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting, on
from ufgraphfr.algorithms.capabilities import Blended
from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Private, State
from ufgraphfr.core.workers import workers
from ufgraphfr.evaluation.fusion import choose_blend
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.evaluation.protocol import EvaluationSet
from ufgraphfr.evaluation.results import RankingResult
from ufgraphfr.experiment.assess import (
    Metrics,
    assess_attack,
    assess_baselines,
    assess_kept_out,
)
from ufgraphfr.experiment.checkpoint import Checkpoint
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.federation import aggregator, simulated, validation
from ufgraphfr.experiment.fitted import check_memory, fit_baseline, validate_baseline
from ufgraphfr.experiment.oversized import oversized
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.experiment.privacy_plan import calibrate
from ufgraphfr.experiment.restored import restored_score
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.private_state import MANY, PrivateState, private_state
from ufgraphfr.federation.scoring import device_model, device_score
from ufgraphfr.federation.spread import everybodys_private
from ufgraphfr.federation.transport import Transport
from ufgraphfr.federation.validation.checked_transport import CheckedTransport
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.registry import Registry
from ufgraphfr.privacy.base import Mechanism

logger = logging.getLogger(__name__)
LARGE = 50_000_000
"""Pairs to rank from which it is worth saying: some seconds."""


@dataclass(frozen=True)
class TestResult:
    """What the test of the best round gave.

    Attributes:
        test: metrics, means over the users that were asked, or None if none leave the devices.
        standard_errors: of those, over users; none if ranks stay on the devices.
        validation: likewise, of a model without rounds, whose lines hold none.
        kept_out: NDCG@10 of ``cold`` users, of ``cold_all`` of their items and of ``new_items``;
            None where none are kept out.
        baselines: their metrics by kind.
        ranks: a column for each ranking, a row for each target of each user; empty if ranks stay
            on the devices.
        attack: what simulated malicious clients achieved, or None if there are none.
    """

    test: Metrics | None
    standard_errors: Metrics = field(default_factory=dict)
    validation: Metrics | None = None
    kept_out: dict[str, dict[str, float] | None] = field(default_factory=dict)
    baselines: dict[str, dict[str, Any]] = field(default_factory=dict)
    ranks: dict[str, NDArray[Any]] = field(default_factory=dict)
    attack: dict[str, Any] | None = None


class Population(Protocol):
    """Everybody the server can ask.

    Attributes:
        data: name, users, items, interactions, sha256 and digest, as a result shows them.
        sequential: whether the order of a user's interactions means something.
        setting: the public facts of the federation.
        clients: int64 ``[clients]``, who may be drawn.
        registry: what was spent on these users' data before; None if their holders know.
        durable: whether a checkpoint follows every round, because others have worked for it.
    """

    data: dict[str, Any]
    sequential: bool
    setting: Setting
    clients: Tensor
    registry: Registry | None
    durable: bool

    def mechanism(self, algorithm: Algorithm, ledger: Ledger) -> Mechanism:
        """What stands between these clients' updates and the server; it pays from the ledger.

        Raises:
            InputError: the budget cannot be kept.
        """

    def initial(self, algorithm: Algorithm) -> State:
        """The server's memory before the first round."""

    def begin(
        self, algorithm: Algorithm, mechanism: Mechanism, last: Checkpoint | None
    ) -> Transport:
        """Start from the initial weights, or go on from a checkpoint.

        Returns:
            A transport that yields only replies that fit what was asked.
        """

    def aggregator(self, algorithm: Algorithm, mechanism: Mechanism) -> Aggregator:
        """What replies must be, and how they become one."""

    def private(self) -> Private:
        """The weights to keep in checkpoints; none where they stay home."""

    def validate(self, state: State, round_number: int, pick: bool) -> tuple[State, Metrics | None]:
        """Validation after a round; on the way, ``pick`` picks the blend, if the model has one.

        Returns:
            The server's memory with the blend, and the metrics, if any leave the devices.
        """

    def checkpointed(self, round_number: int, best_round: int) -> None:
        """Told after a checkpoint: only what these two rounds need must be kept from before."""

    def fit(self, baseline: Baseline) -> State:
        """A baseline, fitted to everybody's rows and, if it is a fusion, to the validation."""

    def test(self, best: Checkpoint) -> TestResult:
        """The test, at the round that validation picked."""


class Simulated:
    """All clients in this process; see `Population`."""

    durable = False

    def __init__(
        self, experiment: Experiment, prepared: PreparedExperiment, device: torch.device
    ) -> None:
        """Takes everybody's data."""
        self.setting = prepared.setting
        self.clients = torch.from_numpy(prepared.split.warm).to(device)
        self.data = prepared.facts
        self.registry: Registry | None = Registry((prepared.dataset.sha256, prepared.origin))
        self.sequential = prepared.dataset.interactions.sequential
        self._experiment, self._prepared, self._device = experiment, prepared, device
        self._store = PrivateState({})
        there = {"items": self.setting.items, "clients": len(self.clients)}
        for sentence in oversized(experiment.model, "[algorithm]", there):
            logger.warning(sentence)

    def mechanism(self, algorithm: Algorithm, ledger: Ledger) -> Mechanism:
        """See `Population.mechanism`."""
        return calibrate(self._experiment, algorithm, len(self.clients), ledger)

    def initial(self, algorithm: Algorithm) -> State:
        """See `Population.initial`."""
        return algorithm.init_server(self.setting)

    def begin(
        self, algorithm: Algorithm, mechanism: Mechanism, last: Checkpoint | None
    ) -> Transport:
        """See `Population.begin`."""
        experiment, prepared, device = self._experiment, self._prepared, self._device
        for baseline in experiment.baselines:
            try:
                check_memory(baseline, prepared)
            except InputError as error:
                logger.warning("this run will have no figures of %s: %s", baseline.kind, error)
        private = last.private if last else Private()
        if last is None and self.setting.clients < MANY:
            own = prepared.batch.with_own_text().to(device)
            private = algorithm.init_private(self.setting, own)
        self._algorithm = algorithm
        self._store = private_state(algorithm, self.setting, private, device)
        clients = simulated(experiment, algorithm, mechanism, prepared, self._store, device)
        transport = experiment.federation.transport.to(clients)
        return CheckedTransport(
            transport, validation(experiment, algorithm, mechanism, self._prepared)
        )

    def aggregator(self, algorithm: Algorithm, mechanism: Mechanism) -> Aggregator:
        """See `Population.aggregator`."""
        return aggregator(self._experiment, algorithm, mechanism, self._prepared)

    def private(self) -> Private:
        """See `Population.private`: each client's as the worker has them that simulates it."""
        return everybodys_private(self._store, workers())

    def validate(self, state: State, round_number: int, pick: bool) -> tuple[State, Metrics | None]:
        """See `Population.validate`."""
        algorithm, asked = self._algorithm, self._prepared.validation
        chunk, key = self._experiment.evaluation.chunk, Key(self._experiment.seed)
        metrics = self._experiment.evaluation.computed
        self._tell("validation", asked)
        arguments = (algorithm, state, self._store, round_number)
        if not (pick and isinstance(algorithm, Blended) and len(asked.clients)):
            return state, evaluate(device_score(*arguments), asked, chunk, metrics).metrics
        model = device_model(*arguments)
        fixed, priors = algorithm.fixed_blends(self.setting), algorithm.priors
        chosen = choose_blend(model, asked, fixed, priors, key, chunk, metrics)
        return state | on(self._store.device, chosen.kept), chosen.result.metrics

    def _tell(self, what: str, asked: EvaluationSet) -> None:
        """Say what takes a while."""
        pairs = len(asked.clients) * self.setting.items
        if pairs >= LARGE:
            logger.info("%s ranks %s pairs of user and item", what, f"{pairs:,}")

    def checkpointed(self, round_number: int, best_round: int) -> None:
        """See `Population.checkpointed`: weights in memory have no versions."""

    def fit(self, baseline: Baseline) -> State:
        """See `Population.fit`."""
        return fit_baseline(baseline, self._prepared, self._experiment.evaluation.chunk)

    def test(self, best: Checkpoint) -> TestResult:
        """See `Population.test`; baselines and cold users beside it."""
        chunk, prepared = self._experiment.evaluation.chunk, self._prepared
        metrics = self._experiment.evaluation.computed
        score = restored_score(self._experiment, best, self.setting)
        self._tell("the test", prepared.test)
        test = evaluate(score, prepared.test, chunk, metrics)
        model, validation = self._experiment.model, None
        if not isinstance(model, Algorithm):
            fitted = best.server
            validation = validate_baseline(model, fitted, prepared, chunk, metrics).metrics
        kept_out = assess_kept_out(score, prepared, chunk)
        beside, outcomes = assess_baselines(self._experiment.baselines, prepared, chunk, metrics)
        ranks = _ranks(prepared, test, outcomes)
        attack = assess_attack(self._experiment, prepared, score, test)
        return TestResult(
            test.metrics, test.standard_errors, validation, kept_out, beside, ranks, attack
        )


def _ranks(
    prepared: PreparedExperiment, test: RankingResult, baselines: dict[str, RankingResult]
) -> dict[str, NDArray[Any]]:
    """Each target's ranks, of the model and of the baselines beside it, and known items."""
    columns: dict[str, NDArray[Any]] = {
        "user": np.array([prepared.dataset.users.names[user] for user in test.users]),
        "known": prepared.split.known[test.users],
        "full": test.full,
        "sampled99": test.sampled,
    }
    for kind, outcome in baselines.items():
        columns |= {f"{kind}.full": outcome.full, f"{kind}.sampled99": outcome.sampled}
    return columns
