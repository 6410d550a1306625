"""Envelopes over Flower: pushed to SuperNodes, and pulled back until our own deadline."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from flwr.app import Message, MessageType
from flwr.serverapp import Grid

from ufgraphfr.deploy.flower.records import from_record, to_record

logger = logging.getLogger(__name__)
POLL_SECONDS = 0.2
GRACE_SECONDS = 60.0
"""The engine may keep a message this long after our deadline, so that it drops it, not we."""


@dataclass(frozen=True)
class FlowerPost:
    """See `ufgraphfr.deploy.post.Post`.

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
        self, requests: dict[str, list[bytes]], round_number: int, seconds: float
    ) -> Iterator[tuple[str, list[bytes]]]:
        """See `Post.ask`. An error of the engine (a node died) counts as no answer."""
        until = time.monotonic() + seconds
        number = {name: found for found, name in self.nodes.items()}
        messages = [
            Message(
                to_record(chunks),
                dst_node_id=number[node],
                message_type=MessageType.QUERY,
                ttl=seconds + GRACE_SECONDS,
                group_id=str(round_number),
            )
            for node, chunks in requests.items()
        ]
        pushed = list(self.grid.push_messages(messages))
        waiting = {made: node for made, node in zip(pushed, requests, strict=True) if made}
        while waiting and time.monotonic() < until:
            for reply in self.grid.pull_messages(list(waiting)):
                node = waiting.pop(reply.metadata.reply_to_message_id, None)
                if node is None or reply.metadata.src_node_id not in (number[node], 0, 1):
                    logger.warning("a reply that nobody waits for")
                elif reply.has_error():
                    logger.warning("%s: the engine gave up, code %d", node, reply.error.code)
                else:
                    yield node, from_record(reply.content)
            time.sleep(POLL_SECONDS)
