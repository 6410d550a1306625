"""A wrapper of any transport that lets through only replies that fit what was asked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Task
from ufgraphfr.federation.transport import Rejected, Response, Transport
from ufgraphfr.federation.validation.check import RejectedReply, check
from ufgraphfr.federation.validation.expected import Validation


@dataclass(frozen=True)
class CheckedTransport:
    """Passes on what fits, and `Rejected` with the reason in place of what does not.

    Attributes:
        transport: carries the messages.
        validation: knows what to expect.
    """

    transport: Transport
    validation: Validation

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response | Rejected]:
        """See `Transport.exchange`."""
        if len(cohort) == 0:
            return
        outstanding = self.validation.expected(task_for(cohort[:1]), cohort)
        for answer in self.transport.exchange(task_for, cohort, key):
            if isinstance(answer, Rejected):
                yield answer
                continue
            # nobody replies twice, nor for clients that another request was for
            here = outstanding.clients[torch.isin(outstanding.clients, answer.asked)]
            try:
                check(answer.report, replace(outstanding, clients=here))
            except RejectedReply as rejected:
                yield Rejected(answer.asked, rejected.reason)
                continue
            outstanding = outstanding.without(answer.report.clients)
            yield answer
