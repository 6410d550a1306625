"""The start of a run: wait for the nodes, and ask each which clients it has."""

import logging
import secrets
import time

from ufgraphfr import __version__
from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.server.ledger_heads import LedgerHeads
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.deploy.wire.engine import Engine
from ufgraphfr.deploy.wire.message import Envelope, Malformed, matched
from ufgraphfr.deploy.wire.release import Release

logger = logging.getLogger(__name__)


class TooFewReplies(InputError):
    """Below the quorum: the run stops, and can be resumed."""


def handshake(
    agreement: Agreement,
    engine: Engine,
    settings: ServerSettings,
    heads: LedgerHeads,
    continued: Release | None = None,
) -> Participants:
    """Wait for the nodes, and ask each which clients it has.

    Args:
        agreement: of the run.
        engine: a way to the nodes.
        settings: for how long and how many.
        heads: what the nodes' ledgers said last, which each is told: one that was put back refuses.
        continued: the release that the run goes on from.

    Raises:
        TooFewReplies: too few nodes came in time.
    """
    # agents know one run at a time, and a server that starts anew means that one
    run = agreement.root[:16] if continued is None else continued.next_run
    facts = {} if continued is None else {"continues": continued.digest}
    until = time.monotonic() + settings.startup_timeout
    replies: dict[str, Envelope] = {}
    refusals: dict[str, str] = {}
    names = [node.name for node in agreement.nodes]
    while len(replies) < len(names) and time.monotonic() < until:
        new = (engine.reachable() & set(names)) - replies.keys()
        requests = {
            node: Envelope(
                *("hello", agreement.digest, run, 0, node, secrets.token_hex(16)),
                facts={**facts, **heads.facts(node)},
            )
            for node in new
        }
        for node, chunks in engine.ask(new, requests.__getitem__, 0, settings.round_timeout):
            try:
                reply = matched(requests[node], chunks)
                heads.keep(node, reply.facts.get("ledger"))
                replies[node] = reply
            except Malformed as error:
                # once: it is asked again each second
                if refusals.get(node) != str(error):
                    logger.warning("%s: %s", node, error)
                refusals[node] = str(error)
        time.sleep(0.0 if len(replies) == len(names) else 1.0)
    absent = {name: refusals.get(name, "did not connect") for name in names if name not in replies}
    if len(replies) < settings.needed(len(names)):
        raise _too_few(len(names), absent, settings)
    _tell_versions(replies)
    return Participants.of(agreement, run, replies)


def _too_few(asked: int, absent: dict[str, str], settings: ServerSettings) -> TooFewReplies:
    said = "".join(f"; {name}: {reason}" for name, reason in absent.items())
    return TooFewReplies(
        f"{asked - len(absent)} of {asked} nodes came within {settings.startup_timeout:g} s, and "
        f"the quorum is a share of {settings.quorum:g}: see that SuperNodes and agents run, and "
        f"hold data{said}"
    )


def _tell_versions(replies: dict[str, Envelope]) -> None:
    """Say which nodes run another release than this server."""
    for node, reply in sorted(replies.items()):
        version = reply.facts.get("version", __version__)
        if version != __version__:
            said = "%s runs ufgraphfr %.20s, and this server %s"
            logger.warning(said, node, version, __version__)


def wait_for_nodes(names: set[str], engine: Engine, settings: ServerSettings) -> None:
    """Wait until all nodes of a run are connected again, or the time for it is over."""
    until = time.monotonic() + settings.startup_timeout
    while names - engine.reachable() and time.monotonic() < until:
        time.sleep(1.0)
