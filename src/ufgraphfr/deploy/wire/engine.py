"""How envelopes reach the agents of nodes: all that an engine has to offer."""

from collections.abc import Callable, Collection, Iterator
from typing import Protocol, TypeAlias

from ufgraphfr.deploy.wire.message import Envelope

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
