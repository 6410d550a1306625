"""How envelopes reach the agents of nodes: the one thing an engine has to offer."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ufgraphfr.deploy.framing import BrokenFrame, call


class Post(Protocol):
    """Carries packed envelopes to nodes and their answers back."""

    def reachable(self) -> set[str]:
        """Names of the nodes that are there now."""

    def ask(
        self, requests: dict[str, list[bytes]], round_number: int, seconds: float
    ) -> Iterator[tuple[str, list[bytes]]]:
        """Ask nodes once, all at the same time.

        Args:
            requests: node to packed envelope.
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
        self, requests: dict[str, list[bytes]], round_number: int, seconds: float
    ) -> Iterator[tuple[str, list[bytes]]]:
        """See `Post.ask`."""
        pool = ThreadPoolExecutor(max(1, len(requests)))
        waiting = {
            pool.submit(call, self.sockets[node], chunks, seconds): node
            for node, chunks in requests.items()
        }
        try:
            for done in as_completed(waiting, timeout=seconds):
                if not isinstance(done.exception(), OSError | BrokenFrame):
                    yield waiting[done], done.result()
        except Late:
            pass
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
