"""The population of a deployment: every node's users, reached through their agents.

A reply is used only if it passes two checks: its envelope must answer the very request that was
sent, and its content must pass `federation.validation`.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import scoring_task, warm_start
from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Private, State, Task
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.agreement.masked import is_masked, least_nodes, reserve
from ufgraphfr.deploy.agreement.server_guarantee import ServerMechanism, server_mechanism
from ufgraphfr.deploy.server.attempts import Attempts
from ufgraphfr.deploy.server.evaluation import RemoteEvaluation
from ufgraphfr.deploy.server.ledger_heads import LedgerHeads
from ufgraphfr.deploy.server.masked_sums import MaskedSums, masked_metrics
from ufgraphfr.deploy.server.metric_sums import only_part
from ufgraphfr.deploy.server.metrics import RunMetrics
from ufgraphfr.deploy.server.nodes import Nodes
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.server.releases import Releases, publish
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.deploy.server.totals import Totals
from ufgraphfr.deploy.wire.engine import Engine
from ufgraphfr.deploy.wire.message import Malformed
from ufgraphfr.deploy.wire.payload import decode_report
from ufgraphfr.deploy.wire.release import Release
from ufgraphfr.experiment.assess import Metrics
from ufgraphfr.experiment.checkpoint import Checkpoint
from ufgraphfr.experiment.population import TestResult
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.transport import Rejected, Response, Transport
from ufgraphfr.federation.validation.check import RULES, RejectedReply, check_bytes
from ufgraphfr.federation.validation.checked_transport import CheckedTransport
from ufgraphfr.federation.validation.expected import Validation
from ufgraphfr.ops.grown import grown
from ufgraphfr.privacy.accounted.guarantee import central_spent
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.registry import Registry
from ufgraphfr.privacy.base import Mechanism
from ufgraphfr.privacy.none import NoMechanism
from ufgraphfr.privacy.secure_sum import SecureSum

logger = logging.getLogger(__name__)


class RemoteClients:
    """See `ufgraphfr.experiment.population.Population`; private weights stay at their nodes."""

    durable = True
    registry: Registry | None = None

    def __init__(
        self,
        agreement: Agreement,
        catalogue: Catalogue,
        engine: Engine,
        settings: ServerSettings,
        participants: Participants,
        metrics: RunMetrics,
        heads: LedgerHeads,
        attempts: Attempts,
        before: State | None = None,
    ) -> None:
        """Takes what was agreed on, a way to the nodes, who takes part, and what is known.

        ``before`` is the server's memory that the run goes on from, if there is one.
        """
        self._before, self._attempts = before, attempts
        self._agreement, self._participants, self._metrics = agreement, participants, metrics
        self._nodes = Nodes(agreement.digest, participants.run, engine, settings, metrics, heads)
        self.setting = agreement.setting(catalogue, embed_titles=True)
        self._evaluation = RemoteEvaluation(
            agreement, self.setting, participants, self._nodes, metrics
        )
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
            "sha256": agreement.root,
        }

    def mechanism(self, algorithm: Algorithm, ledger: Ledger) -> Mechanism:
        """See `Population.mechanism`: the nodes add the noise."""
        self._ledger = ledger
        return server_mechanism(
            self._agreement.experiment,
            algorithm,
            self._agreement.clients,
            len(self.clients),
            ledger,
            metrics=self._agreement.metrics == "noised",
        )

    def initial(self, algorithm: Algorithm) -> State:
        """See `Population.initial`: that of the release which the run goes on from."""
        fresh, before = algorithm.init_server(self.setting), self._before
        if before is None:
            return fresh
        known = before.get("features")
        if known is not None and not torch.equal(known, fresh["features"][: len(known)]):
            logger.warning("the items' features are others in the grown catalogue: trained anew")
            return fresh
        larger = {n: grown(fresh[n], value) if n in fresh else value for n, value in before.items()}
        return warm_start(algorithm, fresh, larger)

    def begin(
        self, algorithm: Algorithm, mechanism: Mechanism, last: Checkpoint | None
    ) -> Transport:
        """See `Population.begin`."""
        self._algorithm, self._mechanism = algorithm, mechanism
        self._validation = Validation(
            Client(algorithm, NoMechanism()),
            self.setting,
            sum_upload=self._agreement.experiment.federation.upload,
            noised=mechanism.is_private,
        )
        if last is not None:
            self.checkpointed(last.round, last.best_round)
        if not is_masked(self._agreement.experiment):
            return self
        assert isinstance(mechanism, ServerMechanism | SecureSum)
        repeats, form = (
            (mechanism, mechanism.sums)
            if isinstance(mechanism, ServerMechanism)
            else (None, mechanism)
        )
        self._totals = Totals(
            *(self._nodes, self._participants, self._metrics),
            least_nodes(self._agreement.experiment),
            self._attempts,
            repeats if reserve(self._agreement.experiment) else None,
        )
        given = self._totals, self._participants, self._validation
        return MaskedSums(*given, form, self._agreement.min_users, self._metrics)

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
        if spent is not None and self._ledger.guarantee is not None:
            budget = self._ledger.guarantee["epsilon"]
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
        cohorts, used = self._cohorts(cohort), 0
        self._metrics.left_out(len(cohort) - sum(map(len, cohorts.values())))
        if not cohorts:
            return
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

    def _cohorts(self, cohort: Tensor) -> dict[str, Tensor]:
        """Who is asked, by node: no agent adds up fewer users than were agreed on."""
        return self._participants.by_node(cohort, self._agreement.min_users)

    def _ask(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response | Rejected]:
        """Replies as they come, as far as they can be read."""
        cohorts = self._cohorts(cohort)
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
        return self._evaluation.validate(self._algorithm, state, round_number, pick)

    def publish(self, run: RunFolder, releases: Releases) -> tuple[Release, list[str]]:
        """Publish the model of a finished run to its nodes, see `releases.publish`."""
        parties = self._agreement, self.setting, self._participants, self._nodes
        return publish(*parties, self._metrics, run, releases)

    def test(self, best: Checkpoint) -> TestResult:
        """See `Population.test`; ranks stay on the devices."""
        algorithm = model_in_use(self._agreement.experiment, self.setting)
        if self._agreement.metrics != "noised" or not isinstance(self._mechanism, ServerMechanism):
            return self._evaluation.test(algorithm, best)
        paid = self._agreement.experiment.federation.rounds + 1
        if is_masked(self._agreement.experiment):
            metrics = masked_metrics(
                *(self._totals, self._participants.asked, self._mechanism.sums),
                lambda clients: scoring_task(algorithm, best.server, clients, best.round + 1),
                *(self._evaluation.metric_names, best.round, paid),
            )
            self._metrics.update(untold=self._metrics.values["untold"] + int(metrics is None))
        else:
            metrics = self._evaluation.test(algorithm, best).test
        # nodes have paid, also if too few replies came back
        self._mechanism.record(paid)
        return TestResult(metrics)


@dataclass(frozen=True)
class _Unchecked:
    """The nodes as a transport, before anything is checked."""

    exchange: Callable[[Callable[[Tensor], Task], Tensor, Key], Iterator[Response | Rejected]]
