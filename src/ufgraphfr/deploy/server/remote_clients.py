"""The population of a deployment: every node's users, reached through their agents.

Nothing that comes back is believed before it has passed two checks: the envelope must answer the
very request that was sent, and its content must pass `CheckedTransport`.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Private, Report, State, Task
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.split import Part
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.agreement.guarantee import of_server
from ufgraphfr.deploy.server.handshake import TooFewAnswers
from ufgraphfr.deploy.server.metric_sums import Sums, only_part, read_sums, total
from ufgraphfr.deploy.server.metrics import Tally
from ufgraphfr.deploy.server.participants import Roster
from ufgraphfr.deploy.server.settings import Terms
from ufgraphfr.deploy.wire.engine import Post
from ufgraphfr.deploy.wire.message import Envelope, Forgotten, Kind, Malformed, matched
from ufgraphfr.deploy.wire.payload import (
    digest,
    encode_arrays,
    encode_own,
    is_large,
    shared_arrays,
)
from ufgraphfr.evaluation.metrics import NAMES, SELECTED_BY
from ufgraphfr.experiment.assess import Metrics
from ufgraphfr.experiment.population import TestResult
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.experiment.run_folder import Checkpoint
from ufgraphfr.federation import codec
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.transport import Rejected, Response, Transport
from ufgraphfr.federation.validation.check import RULES, RejectedReply, check_bytes
from ufgraphfr.federation.validation.checked_transport import CheckedTransport
from ufgraphfr.federation.validation.expected import Validation
from ufgraphfr.privacy.accounted.guarantee import central_spent
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.base import Mechanism
from ufgraphfr.privacy.none import NoMechanism

logger = logging.getLogger(__name__)


class Remote:
    """See `ufgraphfr.experiment.population.Population`; weights stay where they are."""

    durable = True

    def __init__(
        self,
        agreement: Agreement,
        catalogue: Catalogue,
        post: Post,
        terms: Terms,
        roster: Roster,
        tally: Tally,
    ) -> None:
        """Takes what was agreed on, a way to the nodes, and who they are."""
        self._agreement, self._post, self._terms = agreement, post, terms
        self._roster, self._tally = roster, tally
        self._settled, self._best = 0, 0
        self._known: dict[str, set[str]] = {}
        self.setting = agreement.setting(catalogue, told=True)
        self.sequential = agreement.table.sequential
        self.clients = torch.cat(list(roster.clients.values())).sort().values
        self.data: dict[str, Any] = {
            "name": f"{agreement.experiment.source.kind} on {len(roster.clients)} nodes",
            "users": len(self.clients),
            "items": self.setting.items,
            "interactions": roster.interactions,
            "sha256": agreement.digest,
        }

    def mechanism(self, algorithm: Algorithm, ledger: Ledger) -> Mechanism:
        """See `Population.mechanism`: the holders add the noise."""
        self._ledger = ledger
        return of_server(self._agreement.experiment, algorithm, self._agreement.clients, ledger)

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
        """See `Population.aggregator`: data holders send sums where the algorithm takes them."""
        return Aggregator(algorithm, self.setting)

    def private(self) -> Private:
        """See `Population.private`."""
        return {}

    def checkpointed(self, round_number: int, best_round: int) -> None:
        """See `Population.checkpointed`: agents are told with the next request."""
        self._settled, self._best = round_number, best_round
        self._tally.settled(round_number)
        spent = central_spent(self._ledger)
        if spent is not None and self._ledger.claim is not None:
            self._tally.spent(spent, self._ledger.claim["epsilon"])

    def fit(self, reference: Baseline) -> State:
        """See `Population.fit`."""
        raise InputError(f"'{reference.kind}' needs everybody's rows in one place")

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response | Rejected]:
        """See `ufgraphfr.federation.transport.Transport`."""
        if len(cohort) == 0:
            return
        asked, answered = self._roster.owned(cohort), 0
        node_of = {int(clients[0]): node for node, clients in asked.items()}
        checked = CheckedTransport(_Nodes(self._ask), self._validation)
        for answer in checked.exchange(task_for, cohort, key):
            node, users = node_of[int(answer.asked[0])], len(answer.asked)
            if isinstance(answer, Rejected):
                self._tally.rejected(node, f"reply rejected: {RULES[answer.reason]}")
            else:
                answered += 1
                up = round(answer.bytes_up * len(answer.report.clients))
                down = round(answer.bytes_down * users)
                self._tally.answered(node, len(answer.report.clients), down, up)
            yield answer
        self._need(answered, len(asked), key.round)

    def _ask(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response | Rejected]:
        """Replies as they come, as far as they can be read."""
        asked = self._roster.owned(cohort)
        expected = self._validation.expected(task_for(cohort[:1]), cohort)
        ask = {
            node: partial(self._envelope, "train", node, key.round, task_for(clients))
            for node, clients in asked.items()
        }
        for node, request, reply in self._replies(ask, key.round):
            try:
                payload = only_part(reply)
                check_bytes(payload, len(asked[node]), expected)
                report = _decoded(payload)
            except RejectedReply as rejected:
                yield Rejected(asked[node], rejected.reason)
                continue
            except Malformed as error:
                self._tally.rejected(node, str(error))
                continue
            # who claims to be nobody is rejected all the same
            replied = max(1, report.clients.numel())
            down, up = request.size / len(asked[node]), len(payload) / replied
            yield Response(asked[node], report, down, up)

    def validate(self, state: State, round_number: int, pick: bool) -> tuple[State, Metrics | None]:
        """See `Population.validate`; every choice of a blend is tried in one message."""
        if self._agreement.metrics == "none":
            return state, None
        found = self._evaluate(self._algorithm, state, round_number, "validation", pick)
        choices = self._algorithm.blends()
        if choices is None or not pick:
            return state, found.metrics(0)
        gains = found.sums[:, 0, NAMES.index(SELECTED_BY)]
        best = int(gains.round(decimals=9).argmax())
        return state | {"blend": choices[best]}, found.metrics(best)

    def test(self, best: Checkpoint) -> TestResult:
        """See `Population.test`; ranks stay on the devices."""
        if self._agreement.metrics == "none":
            return TestResult(None)
        algorithm = model_in_use(self._agreement.experiment, self.setting)
        return TestResult(
            self._evaluate(algorithm, best.server, best.round, "test", False).metrics(0)
        )

    def _evaluate(
        self, algorithm: Algorithm, state: State, number: int, part: Part, pick: bool
    ) -> Sums:
        choices = algorithm.blends()
        width = len(choices) if choices is not None and pick else 1
        ask = {
            node: partial(
                self._envelope,
                *("evaluate", node, number, algorithm.evaluated(state, clients, number + 1), part),
            )
            for node, clients in self._roster.clients.items()
        }
        parts, items = [], self.setting.items
        for node, request, reply in self._replies(ask, number):
            try:
                parts.append(read_sums(reply, width, len(self._roster.clients[node]), items))
            except Malformed as error:
                self._tally.rejected(node, str(error))
                continue
            self._tally.evaluated(request.size, len(reply.parts[0]))
        self._need(len(parts), len(ask), number)
        return total(parts)

    def _envelope(
        self, kind: Kind, node: str, number: int, task: Task, part: Part | None = None
    ) -> Envelope:
        arrays = shared_arrays(task)
        digests = {name: digest(value) for name, value in arrays.items()}
        known = self._known.get(node, set())
        fresh = {
            name: value
            for name, value in arrays.items()
            if digests[name] not in known or not is_large(value)
        }
        facts: dict[str, Any] = {"settled": self._settled, "best": self._best, "shared": digests}
        return Envelope(
            kind=kind,
            agreement=self._agreement.digest,
            run=self._roster.run,
            round=number,
            node=node,
            nonce=secrets.token_hex(16),
            facts=facts if part is None else facts | {"part": part},
            parts=(encode_arrays(fresh), encode_own(task)),
        )

    def _replies(
        self, ask: Mapping[str, Callable[[], Envelope]], number: int
    ) -> Iterator[tuple[str, Envelope, Envelope]]:
        """Node, request and the reply that answers it; whatever else comes is counted and dropped.

        Who no longer has what it was to remember is asked once more, with everything.
        """
        left, until = set(ask), time.monotonic() + self._terms.deadline
        for _ in range(2):
            # each is made when it is sent: the first node works while the second one's is made
            asked = cache(lambda node: ask[node]())
            missing, left, seconds = left, set[str](), until - time.monotonic()
            for node, chunks in self._post.ask(sorted(missing), asked, number, seconds):
                if node not in missing:
                    self._tally.rejected(node, "a second reply")
                    continue
                missing.remove(node)
                before = self._known.pop(node, None)
                try:
                    reply = matched(asked(node), chunks)
                except Forgotten:
                    left |= {node} if before else set()
                    continue
                except Malformed as error:
                    self._tally.rejected(node, str(error))
                    continue
                self._known[node] = set(asked(node).facts["shared"].values())
                yield node, asked(node), reply
            for node in sorted(missing):
                self._tally.lost(node)
            if not left:
                return

    def _need(self, answered: int, asked: int, number: int) -> None:
        need = self._terms.needed(asked)
        if answered < need:
            raise TooFewAnswers(
                f"round {number}: {answered} of {asked} nodes gave an answer that could be used "
                f"within {self._terms.deadline:g} s, and the quorum is {need}: see that the nodes "
                f"run, then go on with ufgraphfr deploy up"
            )


@dataclass(frozen=True)
class _Nodes:
    """The nodes as a transport, before anything is checked."""

    exchange: Callable[[Callable[[Tensor], Task], Tensor, Key], Iterator[Response | Rejected]]


def _decoded(payload: bytes) -> Report:
    """The report in a reply."""
    try:
        return codec.decode_report(payload)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, IndexError):
        raise Malformed("the part is not a report") from None
