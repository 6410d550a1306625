"""The start of a run: wait for the nodes, and ask each who is there."""

import logging
import secrets
import time

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.server.participants import Roster
from ufgraphfr.deploy.server.settings import Terms
from ufgraphfr.deploy.wire.engine import Post
from ufgraphfr.deploy.wire.message import Envelope, Malformed, matched

logger = logging.getLogger(__name__)


class TooFewAnswers(InputError):
    """Below the quorum: the run stops, and can be resumed."""


def greet(agreement: Agreement, post: Post, terms: Terms) -> Roster:
    """Wait for the nodes and ask each who is there.

    Raises:
        TooFewAnswers: too few nodes came in time.
    """
    run, until = secrets.token_hex(8), time.monotonic() + terms.patience
    found: dict[str, Envelope] = {}
    names = [node.name for node in agreement.nodes]
    while len(found) < len(names) and time.monotonic() < until:
        here = (post.reachable() & set(names)) - found.keys()
        requests = {
            node: Envelope("hello", agreement.digest, run, 0, node, secrets.token_hex(16))
            for node in here
        }
        for node, chunks in post.ask(here, requests.__getitem__, 0, terms.deadline):
            try:
                found[node] = matched(requests[node], chunks)
            except Malformed as error:
                logger.warning("%s: %s", node, error)
        time.sleep(0.0 if len(found) == len(names) else 1.0)
    if len(found) < terms.needed(len(names)):
        raise TooFewAnswers(
            f"{len(found)} of {len(names)} nodes came within {terms.patience:g} s, and the quorum "
            f"is a share of {terms.quorum:g}: see that SuperNodes and agents run, and hold data"
        )
    return Roster.of(agreement, run, found)


def await_nodes(names: set[str], post: Post, terms: Terms) -> None:
    """Wait until all nodes of a run are there again, or patience is over."""
    until = time.monotonic() + terms.patience
    while names - post.reachable() and time.monotonic() < until:
        time.sleep(1.0)
