"""What a transport to simulated clients must offer: what it asks of them arrives as if sent."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Task
from ufgraphfr.core.spec import Spec
from ufgraphfr.federation.simulation import Clients
from ufgraphfr.federation.transport import Response, Transport


class TransportSpec(Spec, ABC):
    """A way to simulated clients; fields are keys of ``[federation.transport]``."""

    @abstractmethod
    def exchange(
        self, clients: Clients, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response]:
        """Ask every client of a cohort once.

        Args:
            clients: ``chunks`` groups a cohort, ``answer`` lets a task's clients train.
            task_for: makes the task of some clients, int64 ``[n]``.
            cohort: int64 ``[clients]``.
            key: seed and round.
        """

    def to(self, clients: Clients) -> Transport:
        """This transport to these clients."""
        return _Connected(self, clients)


@dataclass(frozen=True)
class _Connected:
    """See `Transport`."""

    way: TransportSpec
    clients: Clients

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response]:
        """See `Transport.exchange`."""
        return self.way.exchange(self.clients, task_for, cohort, key)
