"""What an agent does for the server: name its clients, train, and evaluate; nothing else.

Everything that decides what may leave comes from the agent's own agreement. A request brings
arrays, and those must have the names, kinds and shapes that the agreement's algorithm sends.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ufgraphfr import __version__
from ufgraphfr.algorithms import capabilities
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Private, Report, Task, combine, gather
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.split import HeldOut
from ufgraphfr.deploy.agent.answers import Evaluation, Refused
from ufgraphfr.deploy.agent.array_cache import ArrayCache
from ufgraphfr.deploy.agent.asked_weights import asked_weights
from ufgraphfr.deploy.agent.enrolment import Enrolment
from ufgraphfr.deploy.agent.metric_sums import metric_rows, metric_sums, popularity_sums
from ufgraphfr.deploy.agent.store import ShardStore, settled_in
from ufgraphfr.deploy.agent.task_form import check_like, without_values
from ufgraphfr.deploy.agent.users import ShardUsers, read_users
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.agreement.guarantee import METRICS, ShardMechanism, shard_mechanism
from ufgraphfr.deploy.wire.message import Envelope
from ufgraphfr.deploy.wire.payload import (
    decode_task,
    encode_arrays,
    shared_arrays,
)
from ufgraphfr.deploy.wire.release import Release
from ufgraphfr.evaluation.fusion import FusionData
from ufgraphfr.evaluation.metric_sums import Model
from ufgraphfr.evaluation.protocol import EvaluationSet
from ufgraphfr.evaluation.results import RANKINGS
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.federation import codec
from ufgraphfr.federation.client import Client, Request
from ufgraphfr.ops.grown import grown
from ufgraphfr.privacy.accounted.ledger import Ledger

MAX_USERS_AT_ONCE = 16
"""Bounds an agent's memory, whatever a simulation's chunk is."""


@dataclass(frozen=True)
class Holding:
    """The shard's data, what was sent before, what was agreed on, and the ledger."""

    store: ShardStore
    cache: ArrayCache
    agreement: Agreement
    catalogue: Catalogue
    ledger: Ledger


class Handlers:
    """One shard and what is done with it."""

    def __init__(self, holding: Holding) -> None:
        """Takes what there is."""
        store, agreement, catalogue = holding.store, holding.agreement, holding.catalogue
        self.store, self.agreement, self.catalogue = store, agreement, catalogue
        self.cache, self.setting = holding.cache, agreement.setting(catalogue, embed_titles=False)
        self.algorithm = model_in_use(agreement.experiment, self.setting)
        self.mechanism = shard_mechanism(
            agreement.experiment,
            self.algorithm,
            agreement.clients,
            holding.ledger,
            metrics=agreement.metrics == "noised",
        )
        self.enrolment = Enrolment(store, agreement, self.mechanism)
        self._users: tuple[Hashable, ShardUsers | None] = (None, None)
        self._models: dict[tuple[bool, int], Task] = {}
        self._fusion: tuple[Hashable, FusionData] | None = None

    def users(self, run: str) -> ShardUsers:
        """The users who are in a run, with what they have now.

        Raises:
            Refused: fewer than the agreement asks for.
        """
        kind = (self.store.version, run)
        if self._users[0] != kind:
            self._users = (kind, read_users(self.store, self.agreement, self.catalogue, run))
        users = self._users[1]
        if users is None or len(users.clients) < self.agreement.min_users:
            raise Refused(f"fewer than {self.agreement.min_users} users are here")
        return users

    def hello(self, request: Envelope) -> Envelope:
        """Which client ids are here; these are in the run from now on, and no others."""
        if not self.store.answers.enrolled(request.run):
            self.enrolment.enrol(request.run, self.users(request.run).clients)
            # those who were read before may be more
            self._users = (None, None)
        users = self.users(request.run)
        sums = self.agreement.metrics == "sums"
        told = {"interactions": len(users.split.history)} if sums else {}
        facts = {"version": __version__, **told}
        return request.reply(encode_arrays({"clients": users.clients}), facts=facts)

    def train(self, request: Envelope) -> Envelope:
        """Let the clients of a task train, and return what the mechanism lets through."""
        spec = self.agreement.experiment.federation
        if not 1 <= request.round <= spec.rounds:
            raise Refused(f"round {request.round} is not among the {spec.rounds} agreed on")
        if request.round <= self.store.counter(settled_in(request.run)):
            raise Refused(f"round {request.round} of this run is settled")
        users, task = self.users(request.run), self._task(request, evaluated=False)
        here = torch.isin(task.clients, users.clients)
        if int(here.sum()) < self.agreement.min_users:
            raise Refused(f"fewer than {self.agreement.min_users} of the clients are here")
        if self.mechanism.is_private:
            asked = request.run, task.clients[here], request.round
            here[here.clone()] = self.enrolment.admitted(*asked)
        if not bool(here.all()):
            task = task.select(here.nonzero()[:, 0])
        report = self._trained(request, users, task)
        # a table for each client is large, and so is what is made of the report
        del task
        return request.reply(self.encoded(request, report))

    def repeats(self, request: Envelope) -> bool:
        """Whether a round that was answered may be answered again."""
        return False

    def confirm(self, request: Envelope) -> Envelope:
        """Say which nodes are left of a secure sum; see `MaskedHandlers`.

        Raises:
            Refused: there are none.
        """
        raise Refused("the agreement knows no secure sums")

    def encoded(self, request: Envelope, report: Report) -> bytes:
        """A report as it leaves."""
        return codec.encode_report(report, capabilities.integer_bounds(self.algorithm))

    def encoded_metrics(self, request: Envelope, report: Report) -> bytes:
        """The test's noised metrics as they leave."""
        return encode_arrays({"noised": report.sums[METRICS].view(len(RANKINGS), -1)})

    def _trained(self, request: Envelope, users: ShardUsers, task: Task) -> Report:
        """One report for all clients of a task; their new weights are kept."""
        experiment, reports = self.agreement.experiment, list[Report]()
        algorithm, upload = self.algorithm, experiment.federation.upload
        client = Client(algorithm, self.mechanism, None if upload is None else upload.bounds)
        task = replace(task, aggregation=algorithm.aggregation)
        key = Key(experiment.seed).at(request.round)
        positions = torch.searchsorted(users.clients, task.clients)
        order = users.batch.counts[positions].argsort(descending=True, stable=True)

        def replied(chunk: Tensor) -> Report:
            batch = users.batch.select(positions[chunk])
            private = self._private(request.run, request.round, batch)
            report, after = client.respond(Request(task.select(chunk), batch, private, key))
            self.store.keep_weights(request.run, request.round, batch.clients, after)
            return report

        for chunk in order.split(min(MAX_USERS_AT_ONCE, experiment.federation.chunk)):
            reports.append(replied(chunk))
            gather(reports)
        total = combine(reports)
        if self.mechanism.is_private:
            # the ledger pays once the reply is kept, see `pay`
            return self.mechanism.finalize(total, key)
        if upload is None:
            return total
        return upload.of_sum(
            total, int(users.clients[0]), key, capabilities.matrices(algorithm, task)
        )

    def pay(self, request: Envelope, reply: bytes) -> None:
        """Pay for a kept reply from the shard's ledger, before it is sent."""
        if isinstance(self.mechanism, ShardMechanism):
            self.mechanism.pay(self.paid_round(request), reply)

    def paid_round(self, request: Envelope) -> int:
        """The round of a request in the ledger."""
        return request.round if request.kind == "train" else self.metrics_round

    @property
    def metrics_round(self) -> int:
        """Stands for the test's metrics in the ledger, which come after the last round."""
        return self.agreement.experiment.federation.rounds + 1

    def evaluation(self, request: Envelope) -> Evaluation:
        """What a request wants evaluated, if that was agreed on."""
        fitted = isinstance(self.algorithm, capabilities.Blended) and not self.mechanism.is_private
        return Evaluation.of(request, self.agreement, fitted)

    def evaluate(self, request: Envelope, part: HeldOut) -> Envelope:
        """Sums over the users: of metrics, or of what a fit of the blend needs."""
        users, task = self.users(request.run), self._task(request, evaluated=True)
        if not bool(torch.isin(users.clients, task.clients).all()):
            raise Refused("the task is not for all clients that are here")
        private = self.mechanism.is_private
        name, weights = asked_weights(request, part, task, self.algorithm, private)
        model = self._evaluated(request, task)
        agreed = self.agreement.experiment.evaluation
        chunk = min(MAX_USERS_AT_ONCE, agreed.chunk)
        if isinstance(self.mechanism, ShardMechanism) and self.agreement.metrics == "noised":
            number = self.metrics_round
            rows = metric_rows(model, weights, users, chunk, agreed.sent)
            there = self.enrolment.admitted(request.run, users.clients, number)
            key, clients = Key(0).at(number), users.clients[there]
            report = self.mechanism.of_rows(key, rows[there], clients)
            return request.reply(self.encoded_metrics(request, report))
        if name == "choices":
            sums = metric_sums(model, weights, users, part, chunk, agreed.sent)
            # a server of the release before does not ask
            if part == "test" and agreed.baselines and request.facts.get("popularity") is True:
                sums["popularity"] = popularity_sums(users, chunk, agreed.sent)
            return request.reply(encode_arrays(sums))
        # a fit asks several times for sums over the same scores
        sent = tuple(sorted(request.facts["shared"].items()))
        kind = (self.store.version, request.run, request.round, sent)
        if self._fusion is None or self._fusion[0] != kind:
            whom = EvaluationSet.of(users.batch, users.split, part)
            key = Key(self.agreement.experiment.seed)
            self._fusion = kind, FusionData.of(model, whom, key, chunk)
        return request.reply(encode_arrays(vars(self._fusion[1].sums(weights))))

    def published(self, request: Envelope, release: Release) -> dict[str, Tensor]:
        """The arrays of a release, if they are those of the agreed algorithm."""
        if release.arrays != request.facts.get("shared") or release.round != request.round:
            raise Refused("other arrays than the release names")
        if len(request.parts) != 2:
            raise Refused("a release has two parts")
        return shared_arrays(self._task(request, evaluated=True))

    def _evaluated(self, request: Envelope, task: Task) -> Model:
        """The model of a task, for some of its clients at a time."""
        algorithm = self.algorithm

        def parts(batch: ClientBatch) -> Tensor:
            positions = torch.searchsorted(task.clients, batch.clients)
            private = self._private(request.run, request.round + 1, batch)
            return capabilities.parts(algorithm, task.select(positions), batch, private)

        def blended(batch: ClientBatch, scores: Tensor, weights: Tensor) -> Tensor:
            positions = torch.searchsorted(task.clients, batch.clients)
            some = task.select(positions)
            return capabilities.blended(algorithm, some, batch, scores, weights)

        return Model(parts, blended)

    def _private(self, run: str, before: int, batch: ClientBatch) -> Private:
        """The weights that clients have before a round, each ``[clients, ...]``."""
        weights = self.algorithm.init_private(self.setting, batch)
        if not weights:
            return weights
        trained = self.store.weights(run, before, batch.clients)
        for position, client in enumerate(batch.clients.tolist()):
            for name, value in trained.get(client, {}).items():
                weights[name][position] = grown(weights[name][position], value)
        return weights

    def _task(self, request: Envelope, evaluated: bool) -> Task:
        """The task of a request, if it is one that the agreed algorithm sends."""
        if not 2 <= len(request.parts) <= 2 + int(evaluated):
            raise Refused("a task has two parts, and an evaluation perhaps weights")
        # its own arrays are let go before those of the request are there
        model, algorithm = self._model(request, evaluated), self.algorithm
        task = decode_task(self.cache.named_by(request), request.parts[1])
        if task.round != request.round + int(evaluated):
            raise Refused("the task is for another round")
        if len(task.clients) == 0 or len(task.clients.unique()) != len(task.clients):
            raise Refused("a client is named twice, or none is")
        if not isinstance(algorithm, capabilities.GrowingArrays):
            check_like(task, model)
            return task
        check_like(task, model, algorithm.growing)
        if not algorithm.fits(task.shared, self.setting):
            raise Refused("arrays that do not belong together, or point outside the catalogue")
        return task

    def _model(self, request: Envelope, evaluated: bool) -> Task:
        """A task of one client as the agreed algorithm would send it, without its values."""
        algorithm, round_number = self.algorithm, request.round
        kind = (evaluated, round_number)
        if kind not in self._models:
            state = algorithm.init_server(self.setting)
            one = self.users(request.run).clients[:1]
            if evaluated:
                model = capabilities.scoring_task(algorithm, state, one, round_number)
            else:
                model = algorithm.broadcast(state, one, round_number)
            self._models = {kind: without_values(model)}
        return self._models[kind]
