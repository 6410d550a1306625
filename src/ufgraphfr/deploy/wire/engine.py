"""How envelopes reach the agents of nodes: the one thing an engine has to offer."""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from ufgraphfr.deploy.wire.message import Envelope, pack
from ufgraphfr.deploy.wire.unix_socket import BrokenFrame, call

Requests: TypeAlias = Callable[[str], Envelope]
"""From a node to what it is asked: made when it is sent, and the same every time."""


class Post(Protocol):
    """Carries envelopes to nodes and their packed answers back."""

    def reachable(self) -> set[str]:
        """Names of the nodes that are there now."""

    def ask(
        self, nodes: Collection[str], requests: Requests, round_number: int, seconds: float
    ) -> Iterator[tuple[str, list[bytes]]]:
        """Ask nodes once, all at the same time.

        Args:
            nodes: whom.
            requests: what.
            round_number: for logs.
            seconds: what has not come back by then does not come.

        Yields:
            node and packed answer, as they come.
        """


@dataclass(frozen=True)
class SocketPost:
    """Agents on this machine, reached through their sockets without any engine.

    Attributes:
        sockets: node to path.
    """

    sockets: dict[str, Path]

    def reachable(self) -> set[str]:
        """See `Post.reachable`."""
        return {node for node, path in self.sockets.items() if path.exists()}

    def ask(
        self, nodes: Collection[str], requests: Requests, round_number: int, seconds: float
    ) -> Iterator[tuple[str, list[bytes]]]:
        """See `Post.ask`."""
        pool = ThreadPoolExecutor(max(1, len(nodes)))
        waiting = {
            pool.submit(call, self.sockets[node], pack(requests(node)), seconds): node
            for node in nodes
        }
        try:
            for done in as_completed(waiting, timeout=seconds):
                if not isinstance(done.exception(), OSError | BrokenFrame):
                    yield waiting[done], done.result()
        except Late:
            pass
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
