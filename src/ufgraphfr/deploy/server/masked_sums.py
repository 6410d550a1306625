"""The server's half of secure sums: masked sums of all nodes that are asked are one total, or none.

Nothing can be read from fewer: a node that is away is waited for, and keeps its reply (its outbox)
until the server asks again.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, Task, one_row
from ufgraphfr.deploy.agreement.masked import ATTEMPT
from ufgraphfr.deploy.server.metric_sums import only_part
from ufgraphfr.deploy.server.metrics import RunMetrics
from ufgraphfr.deploy.server.nodes import Nodes
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.wire import pads
from ufgraphfr.deploy.wire.message import Malformed
from ufgraphfr.deploy.wire.payload import decode_arrays
from ufgraphfr.federation.transport import Rejected, Response
from ufgraphfr.federation.validation.check import (
    HEADER_BYTES,
    RULES,
    RejectedReply,
    ReplySpec,
    check,
)
from ufgraphfr.federation.validation.expected import Validation

logger = logging.getLogger(__name__)


class SumForm(Protocol):
    """What turns whole numbers back into the values of a part."""

    def width(self, round_number: int) -> int:
        """Bytes of a number."""

    def in_values(self, report: Report, sums: Mapping[str, Tensor]) -> Report:
        """The report of sums in whole steps."""


class MaskedSums:
    """See `ufgraphfr.federation.transport.Transport`: one reply for all nodes together."""

    def __init__(
        self,
        nodes: Nodes,
        participants: Participants,
        validation: Validation,
        form: SumForm,
        least: int,
        min_users: int,
        metrics: RunMetrics,
    ) -> None:
        """Takes a way to the nodes, who takes part, and how sums are written.

        Args:
            nodes: the nodes as the server asks them.
            participants: of the run.
            validation: knows what a total must look like.
            form: of the sums.
            least: nodes of a total.
            min_users: whom a node must be asked for, or it refuses.
            metrics: of the run.
        """
        self._nodes, self._participants, self._validation = nodes, participants, validation
        self._form, self._least, self._min_users = form, least, min_users
        self._metrics = metrics

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response | Rejected]:
        """See `Transport.exchange`.

        Raises:
            InputError: no cohort of this size is of enough nodes.
            TooFewReplies: a node is missing, so that there is no total.
        """
        cohorts = self._participants.by_node(cohort)
        # one that must refuse would leave all others without a total
        for node in [n for n, own in cohorts.items() if len(own) < self._min_users]:
            own = cohorts.pop(node)
            said = f"{len(own)} of its users were drawn, and nothing of fewer than"
            self._metrics.rejected(node, f"{said} {self._min_users} leaves it: left out")
        if len(cohort) < self._least * self._min_users:
            raise InputError(
                f"round {key.round} asks {len(cohort)} users, which can never be {self._min_users} "
                f"at each of {self._least} nodes, and a total of fewer hides nothing: agree anew "
                f"on a larger cohort"
            )
        if len(cohorts) < self._least:
            logger.warning(
                f"round {key.round} is left out: its users are at {len(cohorts)} nodes, and a "
                f"total hides its parts from {self._least} on"
            )
            return
        expected = self._validation.expected(task_for(cohort[:1]), cohort)
        found = self._collected(task_for, cohorts, expected, key.round)
        self._nodes.require_all(cohorts.keys() - found.replied, key.round)
        total = self._total(found, expected)
        try:
            check(total, expected)
        except RejectedReply as rejected:
            raise InputError(
                f"round {key.round}: the total of {', '.join(sorted(cohorts))} cannot be used "
                f"({RULES[rejected.reason]}): one of them adds what it should not, and which one "
                f"no server sees"
            ) from None
        yield Response(cohort, total, found.down / len(cohort), found.up / len(total.clients))

    def _collected(
        self,
        task_for: Callable[[Tensor], Task],
        cohorts: Mapping[str, Tensor],
        expected: ReplySpec,
        number: int,
    ) -> "_Collected":
        """Ask all nodes of a round, and add up what comes."""
        epochs = {node: self._participants.epochs[node] for node in sorted(cohorts)}
        facts = {"secure": {"attempt": ATTEMPT, "epochs": epochs}}
        requests = {
            node: partial(self._nodes.envelope, "train", node, number, task_for(own), facts)
            for node, own in cohorts.items()
        }
        found = _Collected()
        for node, request, reply in self._nodes.replies(requests, number):
            try:
                payload = only_part(reply)
                read = _read(payload, cohorts[node], expected, self._form.width(number))
            except (Malformed, RejectedReply) as error:
                self._metrics.rejected(node, str(error))
                continue
            clients = found.add(node, *read)
            found.down, found.up = found.down + request.size, found.up + len(payload)
            self._metrics.answered(node, clients, request.size, len(payload))
        return found

    def _total(self, found: "_Collected", expected: ReplySpec) -> Report:
        """The total of a round, all masks off."""
        clients, width = torch.cat(found.clients).sort().values, self._form.width(expected.round)
        blank = {
            name: torch.zeros(spec.shape, dtype=spec.dtype if spec.floating else torch.int64)
            for name, spec in expected.arrays.items()
        }
        steps = {
            name: torch.from_numpy(pads.signed(found.sums[name], width)).view(value.shape)
            for name, value in blank.items()
        }
        # no loss leaves a node
        nothing = torch.zeros(len(clients))
        report = Report(expected.round, clients, one_row(blank), Aggregation.SUM, nothing)
        return self._form.in_values(report, steps)


@dataclass
class _Collected:
    """What came in a round: masked sums, added up, and of whom; bytes of all nodes."""

    sums: dict[str, pads.Numbers] = field(default_factory=dict)
    clients: list[Tensor] = field(default_factory=list)
    replied: set[str] = field(default_factory=set)
    down: int = 0
    up: int = 0

    def add(self, node: str, clients: Tensor, sums: Mapping[str, pads.Numbers]) -> int:
        """One reply more; how many clients' data are in it."""
        for name, value in sums.items():
            self.sums[name] = value + self.sums.get(name, np.uint64(0))
        self.clients.append(clients)
        self.replied.add(node)
        return len(clients)


def _read(
    payload: bytes, asked: Tensor, expected: ReplySpec, width: int
) -> tuple[Tensor, dict[str, pads.Numbers]]:
    """Whose data are in a masked reply, and its numbers.

    Raises:
        Malformed: the payload is none.
        RejectedReply: it is not what was asked for.
    """
    sizes = {f"sum.{name}": math.prod(spec.shape) for name, spec in expected.arrays.items()}
    if len(payload) > HEADER_BYTES + width * sum(sizes.values()) + 8 * len(asked):
        raise RejectedReply("bytes")
    arrays = decode_arrays(payload)
    clients = arrays.pop("clients", torch.empty(0))
    if clients.dtype != torch.int64 or clients.dim() != 1 or len(clients) == 0:
        raise RejectedReply("client")
    if not bool(torch.isin(clients, asked).all()) or bool((clients.diff() <= 0).any()):
        raise RejectedReply("client")
    if arrays.keys() != sizes.keys():
        raise RejectedReply("arrays")
    for name, value in arrays.items():
        if value.dtype != torch.uint8 or value.shape != (sizes[name], width):
            raise RejectedReply("shape")
    return clients, {
        name.removeprefix("sum."): pads.from_bytes(value.numpy()) for name, value in arrays.items()
    }
