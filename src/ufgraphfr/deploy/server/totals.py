"""Totals of masked sums: of all nodes that are asked, or none.

Nothing can be read from fewer, so a node that is away is waited for, and keeps its reply (its
outbox) until the server asks again. Where a reserve was agreed on, and enough nodes are left for
the quorum and for a total, these repeat the round as another attempt, which each of them pays for:
first every node is asked to confirm the list to every other one, then for its sum. Whoever was lost
is left out until it is back.
"""

import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ufgraphfr.core.messages import Task
from ufgraphfr.deploy.agreement.masked import FIRST
from ufgraphfr.deploy.server.attempts import Attempts
from ufgraphfr.deploy.server.metric_sums import only_part
from ufgraphfr.deploy.server.metrics import RunMetrics
from ufgraphfr.deploy.server.nodes import Nodes
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.wire import pads
from ufgraphfr.deploy.wire.message import Kind, Malformed
from ufgraphfr.deploy.wire.payload import decode_arrays
from ufgraphfr.federation.validation.check import HEADER_BYTES, RejectedReply

logger = logging.getLogger(__name__)
Cohorts = Mapping[str, Tensor]


class Repeats(Protocol):
    """Pays for attempts at a round, see `ufgraphfr.deploy.agreement.guarantee.ServerMechanism`."""

    def record(self, round_number: int, attempt: int = 1) -> None:
        """Write down that nodes have paid."""

    def affords(self, round_number: int) -> bool:
        """Whether there is a reserve for another attempt."""


@dataclass(frozen=True)
class Asked:
    """What is added up.

    Attributes:
        kind: of the requests.
        round: of the requests.
        shapes: of the arrays, by name.
        width: bytes of a number.
        task_for: makes the task of some clients.
        facts: further ones.
    """

    kind: Kind
    round: int
    shapes: Mapping[str, tuple[int, ...]]
    width: int
    task_for: Callable[[Tensor], Task]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Collected:
    """What came: masked sums, added up, and of whom; bytes of all nodes."""

    sums: dict[str, pads.Numbers] = field(default_factory=dict)
    clients: list[Tensor] = field(default_factory=list)
    replied: set[str] = field(default_factory=set)
    down: int = 0
    up: int = 0

    def add(self, node: str, clients: Tensor, sums: Mapping[str, pads.Numbers]) -> None:
        """One reply more."""
        for name, value in sums.items():
            self.sums[name] = value + self.sums.get(name, np.uint64(0))
        self.clients.append(clients)
        self.replied.add(node)

    def steps(self, asked: Asked) -> dict[str, Tensor]:
        """The total in whole steps, all masks off."""
        return {
            name: torch.from_numpy(pads.signed(self.sums[name], asked.width)).view(shape)
            for name, shape in asked.shapes.items()
        }


class Totals:
    """Asks nodes for totals."""

    def __init__(
        self,
        nodes: Nodes,
        participants: Participants,
        metrics: RunMetrics,
        least: int,
        attempts: Attempts,
        repeats: Repeats | None,
    ) -> None:
        """Takes a way to the nodes, who takes part, and who counts.

        Args:
            nodes: the nodes as the server asks them.
            participants: of the run.
            metrics: of the run.
            least: nodes of a total.
            attempts: at the rounds.
            repeats: pays for those beyond the first; None if none was agreed on.
        """
        self._nodes, self._participants, self._metrics = nodes, participants, metrics
        self.least, self._attempts, self._repeats = least, attempts, repeats

    def here(self, cohorts: Cohorts, number: int) -> dict[str, Tensor]:
        """The cohorts of nodes that may be asked in a round: all but those that are away."""
        if (begun := self._attempts.of(number)) is not None:
            return {node: own for node, own in cohorts.items() if node in begun.nodes}
        away = self._attempts.away
        if away and self._repeats is not None:
            epochs = {node: self._participants.epochs[node] for node in away}
            away -= self._nodes.back(epochs)
            self._attempts.begin(0, FIRST, (), away)
        for node in sorted(away & cohorts.keys()):
            self._metrics.rejected(node, "was lost and is not back: left out of the round")
        return {node: own for node, own in cohorts.items() if node not in away}

    def of(self, asked: Asked, cohorts: Cohorts) -> Collected:
        """The total of a round, of all nodes whose cohorts are given or of those that are left.

        Raises:
            TooFewReplies: a node is missing, so that there is no total.
        """
        number, first, confirmed = asked.round, len(cohorts), dict[str, dict[str, str]]()
        begun = self._attempts.of(number)
        attempt, left = FIRST if begun is None else begun.number, set(cohorts)
        if begun is None:
            self._attempts.begin(number, attempt, left, self._attempts.away)
        elif attempt > FIRST:
            attempt, confirmed = self._confirmed(number, attempt, left, first)
        while True:
            left = set(confirmed) or left
            found = self.once(asked, {n: cohorts[n] for n in left}, attempt, confirmed)
            if not (missing := left - found.replied):
                break
            self._check_repeated(number, first, found.replied, missing)
            assert self._repeats is not None
            self._repeats.record(number, attempt)
            attempt, confirmed = self._confirmed(number, attempt + 1, found.replied, first)
        if attempt > FIRST:
            assert self._repeats is not None
            self._repeats.record(number, attempt)
        return found

    def once(
        self,
        asked: Asked,
        cohorts: Cohorts,
        attempt: int = FIRST,
        confirmed: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Collected:
        """Ask nodes for one attempt, and add up what comes."""
        epochs = {node: self._participants.epochs[node] for node in sorted(cohorts)}
        requests = {}
        for node, own in cohorts.items():
            secure: dict[str, Any] = {"attempt": attempt, "epochs": epochs}
            if attempt > FIRST:
                secure["confirmed"] = dict((confirmed or {})[node])
            facts = {**asked.facts, "secure": secure}
            task = asked.task_for(own)
            requests[node] = partial(
                self._nodes.envelope, asked.kind, node, asked.round, task, facts
            )
        found = Collected()
        for node, request, reply in self._nodes.replies(requests, asked.round):
            try:
                payload = only_part(reply)
                clients, sums = _read(payload, cohorts[node], asked)
            except (Malformed, RejectedReply) as error:
                self._metrics.rejected(node, str(error))
                continue
            found.add(node, clients, sums)
            found.down, found.up = found.down + request.size, found.up + len(payload)
            if asked.kind == "train":
                self._metrics.answered(node, len(clients), request.size, len(payload))
            else:
                self._metrics.evaluated(request.size, len(payload))
        return found

    def _check_repeated(
        self, number: int, first: int, left: Collection[str], missing: Collection[str]
    ) -> None:
        """Those who are left may repeat a round.

        Raises:
            TooFewReplies: they may not.
        """
        if self._repeats is None:
            self._nodes.require_all(missing, number)
            return
        if len(left) < max(self.least, self._nodes.quorum(first)):
            self._nodes.require_all(missing, number, "too few are left to repeat the round")
        if not self._repeats.affords(number):
            self._nodes.require_all(missing, number, "the reserve for repetitions is spent")

    def _confirmed(
        self, number: int, attempt: int, left: Collection[str], first: int
    ) -> tuple[int, dict[str, dict[str, str]]]:
        """The attempt that all who are left have confirmed to each other, and what each is told.

        Raises:
            TooFewReplies: too few are left.
        """
        while True:
            gone = self._participants.asked.keys() - left
            self._attempts.begin(number, attempt, left, self._attempts.away | gone)
            logger.warning(
                f"round {number}: {', '.join(sorted(left))} are left, and repeat it as attempt "
                f"{attempt}, which is paid for from the reserve"
            )
            said = dict(self._said(number, attempt, left))
            if said.keys() == set(left):
                told = {
                    node: {other: said[other][node] for other in left if other != node}
                    for node in left
                }
                return attempt, told
            self._check_repeated(number, first, said.keys(), set(left) - said.keys())
            attempt, left = attempt + 1, set(said)

    def _said(
        self, number: int, attempt: int, left: Collection[str]
    ) -> Iterator[tuple[str, dict[str, str]]]:
        """What each node says to each other one of the list of an attempt."""
        epochs = {node: self._participants.epochs[node] for node in sorted(left)}
        facts = {"secure": {"attempt": attempt, "epochs": epochs}}
        requests = {n: partial(self._nodes.plain, "confirm", n, number, facts) for n in left}
        for node, _, reply in self._nodes.replies(requests, number):
            said = reply.facts.get("confirms")
            if isinstance(said, dict) and said.keys() == set(left) - {node}:
                yield node, {str(other): str(value) for other, value in said.items()}
            else:
                self._metrics.rejected(node, "a reply that does not confirm the nodes")


def _read(payload: bytes, of: Tensor, asked: Asked) -> tuple[Tensor, dict[str, pads.Numbers]]:
    """Whose data are in a masked reply, and its numbers.

    Raises:
        Malformed: the payload is none.
        RejectedReply: it is not what was asked for.
    """
    sizes = {f"sum.{name}": math.prod(shape) for name, shape in asked.shapes.items()}
    if len(payload) > HEADER_BYTES + asked.width * sum(sizes.values()) + 8 * len(of):
        raise RejectedReply("bytes")
    arrays = decode_arrays(payload)
    clients = arrays.pop("clients", torch.empty(0))
    if clients.dtype != torch.int64 or clients.dim() != 1 or len(clients) == 0:
        raise RejectedReply("client")
    if not bool(torch.isin(clients, of).all()) or bool((clients.diff() <= 0).any()):
        raise RejectedReply("client")
    if arrays.keys() != sizes.keys():
        raise RejectedReply("arrays")
    for name, value in arrays.items():
        if value.dtype != torch.uint8 or value.shape != (sizes[name], asked.width):
            raise RejectedReply("shape")
    return clients, {
        name.removeprefix("sum."): pads.from_bytes(value.numpy()) for name, value in arrays.items()
    }
