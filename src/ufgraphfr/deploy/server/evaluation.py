"""The metrics of a deployment's model, from sums that the nodes send."""

import logging
from collections.abc import Callable
from functools import partial, reduce
from typing import Any, TypeVar

from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.algorithms.capabilities import Blended, scoring_task
from ufgraphfr.core.messages import State
from ufgraphfr.data.split import HeldOut
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.server.metric_sums import (
    POPULARITY,
    Sums,
    noised_total,
    read_fit,
    read_noised,
    read_sums,
    total,
)
from ufgraphfr.deploy.server.metrics import RunMetrics
from ufgraphfr.deploy.server.nodes import Nodes, NodesRefuse
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.wire.message import Envelope, Malformed
from ufgraphfr.evaluation.fusion import Candidates
from ufgraphfr.evaluation.metrics import NAMES, SELECTED_BY, ranked
from ufgraphfr.evaluation.results import best_choice
from ufgraphfr.experiment.assess import Metrics
from ufgraphfr.experiment.checkpoint import Checkpoint
from ufgraphfr.experiment.population import TestResult
from ufgraphfr.ops.blend import coefficients
from ufgraphfr.ops.fusion import FusionSums

logger = logging.getLogger(__name__)

T = TypeVar("T")


class RemoteEvaluation:
    """Asks every node of a run; what leaves a node is in the agreement."""

    def __init__(
        self,
        agreement: Agreement,
        setting: Setting,
        participants: Participants,
        nodes: Nodes,
        metrics: RunMetrics,
    ) -> None:
        """Takes what was agreed on, who takes part, a way to the nodes, and who counts."""
        self._agreement, self._setting = agreement, setting
        self._participants, self._nodes, self._metrics = participants, nodes, metrics

    def validate(
        self, algorithm: Algorithm, state: State, round_number: int, pick: bool
    ) -> tuple[State, Metrics | None]:
        """See `Population.validate`; no metrics where nodes refuse them."""
        if self._agreement.metrics != "sums":
            return state, None
        try:
            return self._validated(algorithm, state, round_number, pick)
        except NodesRefuse as refused:
            # they answer for one model a round: another one, after a kill, has no metrics
            self._untold(refused)
            return state, None

    def test(self, algorithm: Algorithm, best: Checkpoint) -> TestResult:
        """See `Population.test`; likewise."""
        if self._agreement.metrics == "none":
            return TestResult(None)
        try:
            if self._agreement.metrics == "noised":
                return TestResult(self._noised(algorithm, best))
            sums = self._evaluate(algorithm, best.server, best.round, "test")
        except NodesRefuse as refused:
            self._untold(refused)
            return TestResult(None)
        popular, beside = sums.of_popularity(), dict[str, dict[str, Any]]()
        if popular is not None:
            rows = {"fitted_to": "each node's own training rows"}
            beside[POPULARITY] = {"validation": None, "test": popular, **rows}
        return TestResult(sums.metrics(0), baselines=beside)

    def _untold(self, refused: NodesRefuse) -> None:
        logger.warning(f"{refused}; going on without these metrics")
        self._metrics.update(untold=self._metrics.values["untold"] + 1)

    def _validated(
        self, algorithm: Algorithm, state: State, round_number: int, pick: bool
    ) -> tuple[State, Metrics]:
        """The state with the blend that was picked, and its metrics."""
        if not (pick and isinstance(algorithm, Blended)):
            return state, self._evaluate(algorithm, state, round_number, "validation").metrics(0)
        parts = len(algorithm.part_names(self._setting))
        fixed = algorithm.fixed_blends(self._setting)
        width = coefficients(fixed, algorithm.priors).shape[1]

        def ask(weights: Tensor) -> FusionSums:
            read = partial(read_fit, fits=len(weights), width=width)
            found = self._collected(
                algorithm,
                state,
                round_number,
                "validation",
                lambda reply, _: read(reply),
                {"fit": weights},
            )
            return reduce(FusionSums.__add__, found)

        candidates = Candidates.fitted(ask, fixed, algorithm.priors, parts)
        sums = self._evaluate(algorithm, state, round_number, "validation", candidates.halves)
        gains = sums.sums[:, 0, NAMES.index(SELECTED_BY)]
        best = best_choice(gains, candidates.learned, int(sums.asked[0]))
        return state | candidates.kept(best), sums.metrics(best)

    def _noised(self, algorithm: Algorithm, best: Checkpoint) -> Metrics:
        """The test's metrics, one release of each node."""
        names = self.metric_names
        found = self._collected(
            *(algorithm, best.server, best.round, "test"),
            lambda reply, _: read_noised(reply, len(names)),
            None,
        )
        return noised_total(found, names)

    @property
    def metric_names(self) -> list[str]:
        """The metrics that leave nodes."""
        return [each.name for each in ranked(self._agreement.experiment.evaluation.sent)]

    def _evaluate(
        self,
        algorithm: Algorithm,
        state: State,
        number: int,
        part: HeldOut,
        choices: Tensor | None = None,
    ) -> Sums:
        """Metrics of the model as it is, or of some choices of a blend."""
        width, items = (1 if choices is None else choices.shape[1]), self._setting.items
        names = self.metric_names

        def read(reply: Envelope, clients: int) -> dict[str, Tensor]:
            return read_sums(reply, width, clients, items, len(names))

        weights = None if choices is None else {"choices": choices}
        return total(self._collected(algorithm, state, number, part, read, weights), names)

    def _collected(
        self,
        algorithm: Algorithm,
        state: State,
        number: int,
        part: HeldOut,
        read: Callable[[Envelope, int], T],
        weights: dict[str, Tensor] | None,
    ) -> list[T]:
        """What the nodes say of a model; ``read`` takes a reply and how many clients a node has."""
        found, asked, requests = list[T](), self._participants.asked, {}
        facts: dict[str, Any] = {"part": part}
        if part == "test" and self._agreement.experiment.baselines:
            facts[POPULARITY] = True
        for node, clients in asked.items():
            task = scoring_task(algorithm, state, clients, number + 1)
            requests[node] = partial(
                self._nodes.envelope, "evaluate", node, number, task, facts, weights
            )
        for node, request, reply in self._nodes.replies(requests, number):
            try:
                found.append(read(reply, len(asked[node])))
            except Malformed as error:
                self._metrics.rejected(node, str(error))
                continue
            self._metrics.evaluated(request.size, len(reply.parts[0]))
        self._nodes.require_quorum(len(found), len(requests), number)
        return found
