"""Envelopes over Flower: pushed to SuperNodes, and pulled back until our own deadline."""

import logging
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from flwr.app import Message, MessageType
from flwr.serverapp import Grid

from ufgraphfr.deploy.flower.records import from_record, to_record
from ufgraphfr.deploy.wire.engine import Requests
from ufgraphfr.deploy.wire.message import pack

logger = logging.getLogger(__name__)
POLL_SECONDS = 0.2
GRACE_SECONDS = 3.0
"""Flower keeps a message this long after our deadline, for clocks that differ; longer, and a node
that was away would answer for rounds that are over before it comes to the present one."""


@dataclass(frozen=True)
class FlowerEngine:
    """See `ufgraphfr.deploy.wire.engine.Engine`.

    Attributes:
        grid: Flower's server side.
        nodes: Flower's id of each node whose key was registered, by name.
        heed: called at each look for nodes and replies; what it raises ends the waiting.
    """

    grid: Grid
    nodes: dict[str, int]
    heed: Callable[[], None] = lambda: None

    def reachable(self) -> set[str]:
        """See `Engine.reachable`."""
        self.heed()
        ids = set(self.grid.get_node_ids())
        return {name for name, node_id in self.nodes.items() if node_id in ids}

    def ask(
        self, nodes: Collection[str], requests: Requests, round_number: int, seconds: float
    ) -> Iterator[tuple[str, list[bytes]]]:
        """See `Engine.ask`.

        Flower gives up on a node whose heartbeat is missing. If that node comes back before our
        deadline it is asked again: an agent gives the same reply to the same request.
        """
        until, waiting, missing = time.monotonic() + seconds, dict[str, str](), set(nodes)
        while (missing or waiting) and (left := until - time.monotonic()) > 0:
            self.heed()
            here = missing & self.reachable() if missing else missing
            waiting |= self._push(here, requests, round_number, left + GRACE_SECONDS)
            missing -= here
            for reply in self.grid.pull_messages(list(waiting)):
                node = waiting.pop(reply.metadata.reply_to_message_id, None)
                if node is None:
                    logger.warning("a reply that nobody waits for")
                elif reply.has_error():
                    logger.warning("%s: the engine gave up, code %d", node, reply.error.code)
                    missing.add(node)
                else:
                    yield node, from_record(reply.content)
            time.sleep(POLL_SECONDS)

    def _push(
        self, nodes: Collection[str], requests: Requests, round_number: int, seconds: float
    ) -> dict[str, str]:
        """Hand messages to Flower; returns its id of each message, with the node.

        One after the other: a node sees a message before all of it is there, and waits longer each
        time it has looked in vain.
        """
        waiting = dict[str, str]()
        for node in sorted(nodes):
            message = Message(
                to_record(pack(requests(node))),
                dst_node_id=self.nodes[node],
                message_type=MessageType.QUERY,
                ttl=seconds,
                group_id=str(round_number),
            )
            waiting |= {pushed: node for pushed in self.grid.push_messages([message]) if pushed}
        return waiting
