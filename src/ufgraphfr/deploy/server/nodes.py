"""Requests to the nodes of a deployment, and the replies that answer them.

A reply is used only if its envelope answers the very request that was sent.
"""

import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from typing import Any

from torch import Tensor

from ufgraphfr.core.messages import Task
from ufgraphfr.deploy.server.handshake import TooFewReplies
from ufgraphfr.deploy.server.ledger_heads import LedgerHeads
from ufgraphfr.deploy.server.metrics import RunMetrics
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.deploy.wire.engine import Engine
from ufgraphfr.deploy.wire.message import (
    Envelope,
    FailedRequest,
    Kind,
    Malformed,
    MissingArray,
    RefusedRequest,
    matched,
)
from ufgraphfr.deploy.wire.payload import (
    digest,
    encode_arrays,
    encode_personal,
    is_large,
    shared_arrays,
)

RETRY_SECONDS = 5.0
"""Until a node that could not answer is asked again, while there is time."""
BACK_SECONDS = 30.0
"""For a node that was lost to say that it is back."""


class NodesRefuse(TooFewReplies):
    """Enough nodes are there, and will not."""


class Nodes:
    """The nodes as the server asks them.

    Attributes:
        settled: the last round that no node needs to repeat, and ``best``, the best one so far;
            agents are told with each request.
    """

    def __init__(
        self,
        agreement: str,
        run: str,
        engine: Engine,
        settings: ServerSettings,
        metrics: RunMetrics,
        heads: LedgerHeads,
    ) -> None:
        """Takes the agreement's digest, the run, a way to the nodes, and who counts."""
        self._heads, self._refusing = heads, set[str]()
        self._agreement, self._run, self._engine = agreement, run, engine
        self._settings, self._metrics = settings, metrics
        self.settled, self.best = 0, 0
        self._cached: dict[str, set[str]] = {}

    def envelope(
        self,
        kind: Kind,
        node: str,
        number: int,
        task: Task,
        more: Mapping[str, Any] | None = None,
        weights: dict[str, Tensor] | None = None,
    ) -> Envelope:
        """A request of one node; large arrays that it has are named and not sent again.

        Args:
            kind: what is asked.
            node: of whom.
            number: the round.
            task: for the node's clients.
            more: further facts.
            weights: a third part.
        """
        arrays = shared_arrays(task)
        digests = {name: digest(value) for name, value in arrays.items()}
        cached = self._cached.get(node, set())
        new = {
            name: value
            for name, value in arrays.items()
            if digests[name] not in cached or not is_large(value)
        }
        facts: dict[str, Any] = {"settled": self.settled, "best": self.best, "shared": digests}
        facts |= self._heads.facts(node)
        return Envelope(
            kind=kind,
            agreement=self._agreement,
            run=self._run,
            round=number,
            node=node,
            nonce=secrets.token_hex(16),
            facts={**facts, **(more or {})},
            parts=(
                encode_arrays(new),
                encode_personal(task),
                *(() if weights is None else (encode_arrays(weights),)),
            ),
        )

    def plain(
        self, kind: Kind, node: str, number: int, more: Mapping[str, Any] | None = None
    ) -> Envelope:
        """A request without arrays; see `envelope`."""
        facts = {"settled": self.settled, "best": self.best, **self._heads.facts(node)}
        nonce = secrets.token_hex(16)
        facts |= more or {}
        return Envelope(kind, self._agreement, self._run, number, node, nonce, facts=facts)

    def back(self, epochs: Mapping[str, str]) -> set[str]:
        """Which nodes are there again, with the pads that they began with."""
        found, here = set[str](), self._engine.reachable() & epochs.keys()
        asked = cache(lambda node: self.plain("hello", node, 0))
        seconds = min(self._settings.round_timeout, BACK_SECONDS)
        for node, chunks in self._engine.ask(sorted(here), asked, 0, seconds):
            try:
                reply = matched(asked(node), chunks)
                self._heads.keep(node, reply.facts.get("ledger"))
            except (Malformed, MissingArray):
                continue
            found |= {node} if reply.facts.get("pads") == epochs[node] else set()
        return found

    def quorum(self, asked: int) -> int:
        """How many of the asked nodes must reply."""
        return self._settings.needed(asked)

    def replies(
        self, requests: Mapping[str, Callable[[], Envelope]], number: int
    ) -> Iterator[tuple[str, Envelope, Envelope]]:
        """Node, request and the reply to it; other replies are counted and dropped.

        A node that lacks arrays that it had is asked once more, with all of them; one that could
        not answer is asked again until the time is over.
        """
        self._refusing.clear()
        again, until = set(requests), time.monotonic() + self._settings.round_timeout
        failing = dict[str, str]()
        while again:
            # each is made when it is sent: the first node works while the second one's is made
            asked = cache(lambda node: requests[node]())
            missing, again, seconds = again, set[str](), until - time.monotonic()
            failing.clear()
            for node, chunks in self._engine.ask(sorted(missing), asked, number, seconds):
                if node not in missing:
                    self._metrics.rejected(node, "a second reply")
                    continue
                missing.remove(node)
                before = self._cached.pop(node, None)
                try:
                    reply = matched(asked(node), chunks)
                    self._heads.keep(node, reply.facts.get("ledger"))
                except MissingArray:
                    again |= {node} if before else set()
                    continue
                except FailedRequest as error:
                    failing[node] = str(error)
                    continue
                except Malformed as error:
                    if isinstance(error, RefusedRequest):
                        self._refusing.add(node)
                    self._metrics.rejected(node, str(error))
                    continue
                self._cached[node] = _kept(asked(node), before)
                yield node, asked(node), reply
            for node in sorted(missing):
                self._metrics.lost(node)
            if failing and until - time.monotonic() > RETRY_SECONDS:
                time.sleep(RETRY_SECONDS)
                again |= failing.keys()
        for node, reason in sorted(failing.items()):
            self._metrics.rejected(node, reason)

    def require_all(self, missing: Collection[str], number: int, why: str = "") -> None:
        """No node may be missing: a secure sum is one of all that were asked.

        Args:
            missing: those that are.
            number: the round.
            why: those that are left do not repeat it.

        Raises:
            NodesRefuse: one refused.
            TooFewReplies: one is missing.
        """
        if not missing:
            return
        names, why = ", ".join(sorted(missing)), f", and {why}" if why else ""
        if refusing := self._refusing & set(missing):
            raise NodesRefuse(
                f"round {number}: {', '.join(sorted(refusing))} refused, and a secure sum needs "
                f"every node that is asked{why}: agent status there says why"
            )
        raise TooFewReplies(
            f"round {number}: no usable reply of {names} within "
            f"{self._settings.round_timeout:g} s, and a secure sum needs every node that is asked"
            f"{why}: see that they run, then resume with ufgraphfr deploy up; those that replied "
            f"send the same reply again"
        )

    def require_quorum(self, used: int, asked: int, number: int) -> None:
        """Enough nodes gave a usable reply.

        Raises:
            NodesRefuse: they did not, and would if some were willing.
            TooFewReplies: they did not.
        """
        needed = self._settings.needed(asked)
        if used < needed <= used + len(self._refusing):
            refusing = ", ".join(sorted(self._refusing))
            raise NodesRefuse(
                f"round {number}: {refusing} refused, so that {used} of {asked} nodes gave a "
                f"usable reply, and the quorum is {needed}: agent status there says why"
            )
        if used < needed:
            raise TooFewReplies(
                f"round {number}: {used} of {asked} nodes gave a usable reply within "
                f"{self._settings.round_timeout:g} s, and the quorum is {needed}: see that the "
                f"nodes run, then resume with ufgraphfr deploy start (deploy up --loopback)"
            )


def _kept(request: Envelope, before: set[str] | None) -> set[str]:
    """Digests of the arrays that a node has after a request; one without arrays changes nothing."""
    shared = request.facts.get("shared")
    return (before or set()) if shared is None else set(shared.values())
