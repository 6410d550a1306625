"""The population of a deployment: every node's users, reached through their agents.

Nothing that comes back is believed before it has passed two checks: the envelope must answer the
very request that was sent, and its content must pass `federation.border`.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import blends, scoring_task
from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Private, Report, State, Task
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.split import HeldOut
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
from ufgraphfr.evaluation.metric_sums import best_choice
from ufgraphfr.evaluation.metrics import NAMES, SELECTED_BY
from ufgraphfr.experiment.assess import Metrics
from ufgraphfr.experiment.population import TestResult
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.experiment.run_folder import Checkpoint
from ufgraphfr.federation import codec
from ufgraphfr.federation.transport import Response, Transport
from ufgraphfr.federation.validation.check import RejectedReply, ReplySpec, check, check_bytes
from ufgraphfr.federation.validation.expected import Border
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
        self._algorithm, self._accounted = algorithm, mechanism.is_private
        upload = self._agreement.experiment.federation.upload
        self._border = Border(algorithm, NoMechanism(), self.setting, upload=upload, holders=True)
        if last is not None:
            self.checkpointed(last.round, last.best_round)
        return self

    def border(self, algorithm: Algorithm, mechanism: Mechanism) -> None:
        """See `Population.border`: every reply has passed before `exchange` yields it."""

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

    def fit(self, baseline: Baseline) -> State:
        """See `Population.fit`."""
        raise InputError(f"'{baseline.kind}' needs everybody's rows in one place")

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response]:
        """See `ufgraphfr.federation.transport.Transport`."""
        if len(cohort) == 0:
            return
        asked = self._roster.owned(cohort)
        model = self._border.expected(task_for(cohort[:1]), cohort)
        model = model.noised() if self._accounted else model
        ask = {
            node: partial(self._envelope, "train", node, key.round, task_for(clients))
            for node, clients in asked.items()
        }
        answered = 0
        for node, request, reply in self._replies(ask, key.round):
            try:
                report = _opened(reply, replace(model, clients=asked[node]))
            except (Malformed, RejectedReply) as error:
                self._tally.rejected(node, str(error))
                continue
            answered += 1
            down = request.size
            up = len(reply.parts[0])
            self._tally.answered(node, len(report.clients), down, up)
            yield Response(report, down / len(asked[node]), up / len(report.clients))
        self._need(answered, len(asked), key.round)

    def validate(self, state: State, round_number: int, pick: bool) -> tuple[State, Metrics | None]:
        """See `Population.validate`; every choice of a blend is tried in one message."""
        if self._agreement.metrics == "none":
            return state, None
        found = self._evaluate(self._algorithm, state, round_number, "validation", pick)
        choices = blends(self._algorithm)
        if choices is None or not pick:
            return state, found.metrics(0)
        best = best_choice(found.sums[:, 0, NAMES.index(SELECTED_BY)])
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
        self, algorithm: Algorithm, state: State, number: int, part: HeldOut, pick: bool
    ) -> Sums:
        choices = blends(algorithm)
        width = len(choices) if choices is not None and pick else 1
        tasks = {
            node: scoring_task(algorithm, state, clients, number + 1)
            for node, clients in self._roster.clients.items()
        }
        ask = {
            node: partial(self._envelope, "evaluate", node, number, task, part)
            for node, task in tasks.items()
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
        self, kind: Kind, node: str, number: int, task: Task, part: HeldOut | None = None
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


def _opened(reply: Envelope, expected: ReplySpec) -> Report:
    """The report in a reply, once it has passed the border."""
    payload = only_part(reply)
    check_bytes(payload, len(expected.clients), expected)
    try:
        report = codec.decode_report(payload)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, IndexError):
        raise Malformed("the part is not a report") from None
    check(report, expected)
    return report.total() if expected.summed else report
