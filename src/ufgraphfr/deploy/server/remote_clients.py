"""The population of a deployment: every node's users, reached through their agents.

A reply is used only if it passes two checks: its envelope must answer the very request that was
sent, and its content must pass `federation.validation`.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, TypeVar

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import Blended, scoring_task
from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Private, State, Task
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.split import HeldOut
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.agreement.guarantee import server_mechanism
from ufgraphfr.deploy.server.metric_sums import Sums, only_part, read_fit, read_sums, total
from ufgraphfr.deploy.server.metrics import RunMetrics
from ufgraphfr.deploy.server.nodes import Nodes
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.deploy.wire.engine import Engine
from ufgraphfr.deploy.wire.message import Envelope, Malformed
from ufgraphfr.deploy.wire.payload import decode_report
from ufgraphfr.evaluation.fusion import Candidates
from ufgraphfr.evaluation.metric_sums import best_choice
from ufgraphfr.evaluation.metrics import NAMES, SELECTED_BY, ranked
from ufgraphfr.experiment.assess import Metrics
from ufgraphfr.experiment.population import TestResult
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.experiment.run_folder import Checkpoint
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.transport import Rejected, Response, Transport
from ufgraphfr.federation.validation.check import RULES, RejectedReply, check_bytes
from ufgraphfr.federation.validation.checked_transport import CheckedTransport
from ufgraphfr.federation.validation.expected import Validation
from ufgraphfr.ops.fusion import FusionSums
from ufgraphfr.privacy.accounted.guarantee import central_spent
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.base import Mechanism
from ufgraphfr.privacy.none import NoMechanism

logger = logging.getLogger(__name__)

T = TypeVar("T")


class RemoteClients:
    """See `ufgraphfr.experiment.population.Population`; private weights stay at their nodes."""

    durable = True

    def __init__(
        self,
        agreement: Agreement,
        catalogue: Catalogue,
        engine: Engine,
        settings: ServerSettings,
        participants: Participants,
        metrics: RunMetrics,
    ) -> None:
        """Takes what was agreed on, a way to the nodes, and who takes part."""
        self._agreement, self._participants, self._metrics = agreement, participants, metrics
        self._nodes = Nodes(agreement.digest, participants.run, engine, settings, metrics)
        self.setting = agreement.setting(catalogue, embed_titles=True)
        self.sequential = bool(agreement.table.sequential)
        evaluation = agreement.experiment.evaluation
        if left := [each.name for each in evaluation.computed if each not in evaluation.sent]:
            logger.warning(
                f"not computed: {', '.join(left)}; that takes how often each item is recommended, "
                f"which no node sends"
            )
        self.clients = torch.cat(list(participants.clients.values())).sort().values
        self.data: dict[str, Any] = {
            "name": f"{agreement.experiment.source.kind} on {len(participants.clients)} nodes",
            "users": len(self.clients),
            "items": self.setting.items,
            "interactions": participants.interactions,
            "sha256": agreement.digest,
        }

    def mechanism(self, algorithm: Algorithm, ledger: Ledger) -> Mechanism:
        """See `Population.mechanism`: the nodes add the noise."""
        self._ledger = ledger
        return server_mechanism(
            self._agreement.experiment, algorithm, self._agreement.clients, ledger
        )

    def begin(
        self, algorithm: Algorithm, mechanism: Mechanism, last: Checkpoint | None
    ) -> Transport:
        """See `Population.begin`."""
        self._algorithm = algorithm
        self._validation = Validation(
            Client(algorithm, NoMechanism()),
            self.setting,
            sum_upload=self._agreement.experiment.federation.upload,
            noised=mechanism.is_private,
        )
        if last is not None:
            self.checkpointed(last.round, last.best_round)
        return self

    def aggregator(self, algorithm: Algorithm, mechanism: Mechanism) -> Aggregator:
        """See `Population.aggregator`: nodes send sums where the algorithm takes them."""
        return Aggregator(algorithm, self.setting)

    def private(self) -> Private:
        """See `Population.private`."""
        return {}

    def checkpointed(self, round_number: int, best_round: int) -> None:
        """See `Population.checkpointed`: agents are told with the next request."""
        self._nodes.settled, self._nodes.best = round_number, best_round
        self._metrics.update(rounds=round_number)
        spent = central_spent(self._ledger)
        if spent is not None and self._ledger.claim is not None:
            budget = self._ledger.claim["epsilon"]
            self._metrics.update(epsilon_spent=spent, epsilon_budget=budget)

    def fit(self, baseline: Baseline) -> State:
        """See `Population.fit`."""
        raise InputError(f"'{baseline.kind}' needs everybody's rows in one place")

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response | Rejected]:
        """See `ufgraphfr.federation.transport.Transport`."""
        if len(cohort) == 0:
            return
        cohorts, used = self._participants.by_node(cohort), 0
        node_of = {int(clients[0]): node for node, clients in cohorts.items()}
        checked = CheckedTransport(_Unchecked(self._ask), self._validation)
        for answer in checked.exchange(task_for, cohort, key):
            node = node_of[int(answer.asked[0])]
            if isinstance(answer, Rejected):
                self._metrics.rejected(node, f"reply rejected: {RULES[answer.reason]}")
            else:
                used += 1
                clients = len(answer.report.clients)
                down = round(answer.bytes_down * len(answer.asked))
                self._metrics.answered(node, clients, down, round(answer.bytes_up * clients))
            yield answer
        self._nodes.require_quorum(used, len(cohorts), key.round)

    def _ask(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response | Rejected]:
        """Replies as they come, as far as they can be read."""
        cohorts = self._participants.by_node(cohort)
        expected = self._validation.expected(task_for(cohort[:1]), cohort)
        requests = {
            node: partial(self._nodes.envelope, "train", node, key.round, task_for(clients))
            for node, clients in cohorts.items()
        }
        for node, request, reply in self._nodes.replies(requests, key.round):
            asked = cohorts[node]
            try:
                payload = only_part(reply)
                check_bytes(payload, len(asked), expected)
                report = decode_report(payload)
            except RejectedReply as rejected:
                yield Rejected(asked, rejected.reason)
                continue
            except Malformed as error:
                self._metrics.rejected(node, str(error))
                continue
            # nothing in it has been checked, so it may be of nobody
            up = len(payload) / max(1, report.clients.numel())
            yield Response(asked, report, request.size / len(asked), up)

    def validate(self, state: State, round_number: int, pick: bool) -> tuple[State, Metrics | None]:
        """See `Population.validate`; a fit of the blend takes some messages more."""
        if self._agreement.metrics == "none":
            return state, None
        algorithm = self._algorithm
        if not (pick and isinstance(algorithm, Blended)):
            return state, self._evaluate(algorithm, state, round_number, "validation").metrics(0)
        width = len(algorithm.part_names(self.setting))

        def ask(weights: Tensor) -> FusionSums:
            read = partial(read_fit, fits=len(weights), parts=width)
            found = self._collected(
                algorithm,
                state,
                round_number,
                "validation",
                lambda reply, _: read(reply),
                {"fit": weights},
            )
            return reduce(FusionSums.__add__, found)

        fixed = algorithm.fixed_blends(self.setting)
        candidates = Candidates.fitted(ask, fixed, algorithm.priors)
        sums = self._evaluate(algorithm, state, round_number, "validation", candidates.halves)
        best = best_choice(sums.sums[:, 0, NAMES.index(SELECTED_BY)])
        return state | {"blend": candidates.everybody[best]}, sums.metrics(best)

    def test(self, best: Checkpoint) -> TestResult:
        """See `Population.test`; ranks stay on the devices."""
        if self._agreement.metrics == "none":
            return TestResult(None)
        algorithm = model_in_use(self._agreement.experiment, self.setting)
        sums = self._evaluate(algorithm, best.server, best.round, "test")
        return TestResult(sums.metrics(0))

    def _evaluate(
        self,
        algorithm: Algorithm,
        state: State,
        number: int,
        part: HeldOut,
        choices: Tensor | None = None,
    ) -> Sums:
        """Metrics of the model as it is, or of some choices of a blend."""
        width, items = (1 if choices is None else choices.shape[1]), self.setting.items

        names = [each.name for each in ranked(self._agreement.experiment.evaluation.sent)]

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
        found, holders, requests = list[T](), self._participants.clients, {}
        for node, clients in holders.items():
            task = scoring_task(algorithm, state, clients, number + 1)
            requests[node] = partial(
                self._nodes.envelope, "evaluate", node, number, task, part, weights
            )
        for node, request, reply in self._nodes.replies(requests, number):
            try:
                found.append(read(reply, len(holders[node])))
            except Malformed as error:
                self._metrics.rejected(node, str(error))
                continue
            self._metrics.evaluated(request.size, len(reply.parts[0]))
        self._nodes.require_quorum(len(found), len(requests), number)
        return found


@dataclass(frozen=True)
class _Unchecked:
    """The nodes as a transport, before anything is checked."""

    exchange: Callable[[Callable[[Tensor], Task], Tensor, Key], Iterator[Response | Rejected]]
