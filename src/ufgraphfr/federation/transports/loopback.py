"""Every message goes through its bytes, as it would over a network."""

from collections.abc import Callable, Iterator

from torch import Tensor

from ufgraphfr.algorithms.capabilities import integer_bounds
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Task
from ufgraphfr.federation import codec
from ufgraphfr.federation.simulation import Clients
from ufgraphfr.federation.transport import Response
from ufgraphfr.federation.transports.base import TransportSpec


class Loopback(TransportSpec):
    """Tasks and reports are encoded, and decoded where they arrive."""

    def exchange(
        self, clients: Clients, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response]:
        """See `TransportSpec.exchange`."""
        bounds = integer_bounds(clients.algorithm)
        for asked in clients.chunks(cohort, key.round):
            task = task_for(asked)
            down = codec.encode_task(task)
            answer = clients.answer(codec.decode_task(down, task.aggregation), key)
            up = codec.encode_report(answer, bounds)
            report = codec.decode_report(up)
            share = 1 if report.aggregation is Aggregation.SUM else len(asked)
            once = task.cacheable_bytes
            each = (len(down) - once) / len(asked)
            yield Response(asked, report, each, len(up) / share, once / len(asked))
