"""Messages stay tensors; the bytes of one client's are measured once for each kind of task."""

from collections.abc import Callable, Iterator
from typing import ClassVar

from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Task
from ufgraphfr.federation import codec
from ufgraphfr.federation.simulation import Clients
from ufgraphfr.federation.transport import Response
from ufgraphfr.federation.transports.base import TransportSpec


class Local(TransportSpec):
    """Nothing is encoded."""

    # it is the default of `FederationSpec`, for which no registry has looked for it
    kind: ClassVar[str] = "local"

    def exchange(
        self, clients: Clients, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response]:
        """See `TransportSpec.exchange`."""
        down = up = once = 0.0
        for number, asked in enumerate(clients.chunks(cohort, key.round)):
            task = task_for(asked)
            if number == 0:
                once = float(task.cacheable_bytes)
                down = len(codec.encode_task(task.select(asked.new_zeros(1)))) - once
                up = clients.bytes_up(task, key)
            yield Response(asked, clients.answer(task, key), down, up, once)
