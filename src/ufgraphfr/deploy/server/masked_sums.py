"""The server's half of secure sums: masked sums of all nodes that are asked are one total, or none.

See `ufgraphfr.deploy.server.totals` for what happens if a node is lost.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import torch
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, Task, one_row
from ufgraphfr.deploy.agreement.guarantee import METRICS
from ufgraphfr.deploy.server.metric_sums import noised_total
from ufgraphfr.deploy.server.metrics import RunMetrics
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.server.totals import Asked, Totals
from ufgraphfr.evaluation.results import RANKINGS
from ufgraphfr.experiment.assess import Metrics
from ufgraphfr.federation.transport import Rejected, Response
from ufgraphfr.federation.validation.check import RULES, RejectedReply, ReplySpec, check
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
        totals: Totals,
        participants: Participants,
        validation: Validation,
        form: SumForm,
        min_users: int,
        metrics: RunMetrics,
    ) -> None:
        """Takes a way to totals, who takes part, and how sums are written.

        Args:
            totals: asks the nodes.
            participants: of the run.
            validation: knows what a total must look like.
            form: of the sums.
            min_users: whom a node must be asked for, or it refuses.
            metrics: of the run.
        """
        self._totals, self._participants, self._validation = totals, participants, validation
        self._form, self._min_users, self._metrics = form, min_users, metrics

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response | Rejected]:
        """See `Transport.exchange`.

        Raises:
            InputError: no cohort of this size is of enough nodes.
            TooFewReplies: a node is missing, so that there is no total.
        """
        cohorts, least = self._participants.by_node(cohort), self._totals.least
        # one that must refuse would leave all others without a total
        for node in [n for n, own in cohorts.items() if len(own) < self._min_users]:
            own = cohorts.pop(node)
            said = f"{len(own)} of its users were drawn, and nothing of fewer than"
            self._metrics.rejected(node, f"{said} {self._min_users} leaves it: left out")
        if len(cohort) < least * self._min_users:
            raise InputError(
                f"round {key.round} asks {len(cohort)} users, which can never be {self._min_users} "
                f"at each of {least} nodes, and a total of fewer hides nothing: agree anew on a "
                f"larger cohort"
            )
        cohorts = self._totals.here(cohorts, key.round)
        if len(cohorts) < least:
            logger.warning(
                f"round {key.round} is left out: its users are at {len(cohorts)} nodes, and a "
                f"total hides its parts from {least} on"
            )
            return
        expected = self._validation.expected(task_for(cohort[:1]), cohort)
        shapes = {name: tuple(spec.shape) for name, spec in expected.arrays.items()}
        asked = Asked("train", key.round, shapes, self._form.width(key.round), task_for)
        found = self._totals.of(asked, cohorts)
        clients = torch.cat(found.clients).sort().values
        total = self._total(clients, found.steps(asked), expected)
        try:
            check(total, expected)
        except RejectedReply as rejected:
            raise InputError(
                f"round {key.round}: the total of {', '.join(sorted(found.replied))} cannot be "
                f"used ({RULES[rejected.reason]}): one of them adds what it should not, and which "
                f"one no server sees"
            ) from None
        yield Response(cohort, total, found.down / len(cohort), found.up / len(clients))

    def _total(self, clients: Tensor, steps: Mapping[str, Tensor], expected: ReplySpec) -> Report:
        """The report of a round, from its total in whole steps."""
        blank = {
            name: torch.zeros(spec.shape, dtype=spec.dtype if spec.floating else torch.int64)
            for name, spec in expected.arrays.items()
        }
        # no loss leaves a node
        nothing = torch.zeros(len(clients))
        report = Report(expected.round, clients, one_row(blank), Aggregation.SUM, nothing)
        return self._form.in_values(report, steps)


def masked_metrics(
    totals: Totals,
    cohorts: Mapping[str, Tensor],
    form: SumForm,
    task_for: Callable[[Tensor], Task],
    names: list[str],
    best: int,
    paid: int,
) -> Metrics | None:
    """The test's metrics from one masked total; None if a node is missing, for nothing repeats it.

    Args:
        totals: asks the nodes.
        cohorts: all clients, by node.
        form: of the sums.
        task_for: makes the task of some clients.
        names: of the metrics.
        best: round of the model.
        paid: round that stands for the metrics in ledgers.
    """
    size = len(RANKINGS) * (len(names) + 1)
    cohorts = totals.here(cohorts, paid)
    asked = Asked(
        "evaluate", best, {METRICS: (size,)}, form.width(paid), task_for, {"part": "test"}
    )
    if len(cohorts) < totals.least:
        logger.warning(f"too few nodes are left for a total of the test's metrics: {len(cohorts)}")
        return None
    found = totals.once(asked, cohorts)
    if missing := cohorts.keys() - found.replied:
        said = ", ".join(sorted(missing))
        logger.warning(f"no usable reply of {said}: going on without the test's metrics")
        return None
    clients = torch.cat(found.clients).sort().values
    blank = one_row({METRICS: torch.zeros(size)})
    report = Report(paid, clients, blank, Aggregation.SUM, torch.zeros(len(clients)))
    values = form.in_values(report, found.steps(asked)).sums[METRICS]
    return noised_total([values.view(len(RANKINGS), -1)], names)
