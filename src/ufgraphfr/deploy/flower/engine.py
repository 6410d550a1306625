"""Envelopes over Flower: pushed to SuperNodes, and pulled back until our own deadline."""

import logging
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from flwr.app import Message, MessageType
from flwr.serverapp import Grid

from ufgraphfr.deploy.flower.records import from_record, to_record
from ufgraphfr.deploy.wire.engine import Requests
from ufgraphfr.deploy.wire.message import pack

logger = logging.getLogger(__name__)
POLL_SECONDS = 0.2
GRACE_SECONDS = 3.0
"""The engine keeps a message this long after our deadline, for clocks that differ; longer, and a
node that was away would answer for rounds that are over before it comes to the present one."""


@dataclass(frozen=True)
class FlowerPost:
    """See `ufgraphfr.deploy.wire.engine.Post`.

    Attributes:
        grid: the engine.
        nodes: the engine's number of a node to its name, as its key was registered.
    """

    grid: Grid
    nodes: dict[int, str]

    def reachable(self) -> set[str]:
        """See `Post.reachable`; a node that was never registered by name is nobody."""
        return {self.nodes[found] for found in self.grid.get_node_ids() if found in self.nodes}

    def ask(
        self, nodes: Collection[str], requests: Requests, round_number: int, seconds: float
    ) -> Iterator[tuple[str, list[bytes]]]:
        """See `Post.ask`.

        The engine gives up on a node whose heartbeat is missing. If that node comes back before
        our deadline it is asked again: an agent answers the same question the same way.
        """
        until, waiting, missing = time.monotonic() + seconds, dict[str, str](), set(nodes)
        while (missing or waiting) and (left := until - time.monotonic()) > 0:
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
        """Hand messages to the engine; by its number of each message, the node.

        One after the other: a node sees a message before all of it is there, and waits the longer
        for the rest the more often it has looked in vain.
        """
        number = {name: found for found, name in self.nodes.items()}
        waiting = dict[str, str]()
        for node in sorted(nodes):
            message = Message(
                to_record(pack(requests(node))),
                dst_node_id=number[node],
                message_type=MessageType.QUERY,
                ttl=seconds,
                group_id=str(round_number),
            )
            waiting |= {made: node for made in self.grid.push_messages([message]) if made}
        return waiting
