"""Replies that do not fit: not finite, huge, another shape, other arrays, another client's."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.messages import Report, Task
from ufgraphfr.federation.adversaries.base import Adversary, Aim


class Malformed(Adversary):
    """Each malicious client breaks another rule each round."""

    def reply(self, report: Report, task: Task, aim: Aim) -> Report:
        """See `Adversary.reply`."""
        place = int(torch.searchsorted(aim.clients, report.clients[0]))
        return BREAKS[(place + report.round) % len(BREAKS)](report)


def _every(report: Report, change: Callable[[Tensor], Tensor]) -> Report:
    plain = {name: value.plain() for name, value in report.arrays.items()}
    forged = {name: value.with_values(change(value.values)) for name, value in plain.items()}
    return replace(report, arrays=forged)


BREAKS: tuple[Callable[[Report], Report], ...] = (
    lambda report: _every(report, lambda value: value.float() * torch.nan),
    lambda report: _every(report, lambda value: value.float() + torch.inf),
    lambda report: _every(report, lambda value: value.double()),
    lambda report: _every(report, lambda value: value[..., :-1]),
    lambda report: _every(report, lambda value: value[..., None].expand(*value.shape, 2)),
    lambda report: replace(report, arrays={}),
    lambda report: replace(report, arrays={**report.arrays, "extra": Dense(torch.zeros(1))}),
    lambda report: replace(report, round=report.round + 1),
    lambda report: replace(report, clients=report.clients + 10**9),
    lambda report: replace(report, clients=report.clients.repeat(2)),
    lambda report: replace(report, loss=report.loss * torch.nan),
    lambda report: _every(report, lambda value: torch.full_like(value.float(), 3e38)),
)
