"""How envelopes reach the agents of nodes: all that an engine has to offer."""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from concurrent.futures import TimeoutError as PoolTimeout
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from ufgraphfr.deploy.wire.message import Envelope, pack
from ufgraphfr.deploy.wire.unix_socket import BrokenFrame, call

Requests: TypeAlias = Callable[[str], Envelope]
"""From a node to its request: made when it is sent, and the same every time."""


class Engine(Protocol):
    """Carries requests to nodes and their packed replies back."""

    def reachable(self) -> set[str]:
        """Names of the nodes that are connected now."""

    def ask(
        self, nodes: Collection[str], requests: Requests, round_number: int, seconds: float
    ) -> Iterator[tuple[str, list[bytes]]]:
        """Ask nodes once, all at the same time.

        Args:
            nodes: their names.
            requests: what each is asked.
            round_number: for logs.
            seconds: replies that take longer are not waited for.

        Yields:
            node and packed reply, as they come.
        """


@dataclass(frozen=True)
class SocketEngine:
    """Agents on this machine, reached through their sockets without any other process.

    Attributes:
        sockets: node to path.
    """

    sockets: dict[str, Path]

    def reachable(self) -> set[str]:
        """See `Engine.reachable`."""
        return {node for node, path in self.sockets.items() if path.exists()}

    def ask(
        self, nodes: Collection[str], requests: Requests, round_number: int, seconds: float
    ) -> Iterator[tuple[str, list[bytes]]]:
        """See `Engine.ask`."""
        pool = ThreadPoolExecutor(max(1, len(nodes)))
        waiting = {
            pool.submit(call, self.sockets[node], pack(requests(node)), seconds): node
            for node in nodes
        }
        try:
            for done in as_completed(waiting, timeout=seconds):
                if not isinstance(done.exception(), OSError | BrokenFrame):
                    yield waiting[done], done.result()
        except PoolTimeout:
            pass
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
