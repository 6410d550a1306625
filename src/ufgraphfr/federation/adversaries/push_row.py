"""Targeted push on one row: the change that would make the target liked, many times over."""

import torch
from pydantic import Field

from ufgraphfr.core.messages import Report
from ufgraphfr.federation.adversaries.base import Adversary, Aim, item_views, with_rows


class PushRow(Adversary):
    """Moves the target's row and nothing else."""

    boost: float = Field(20.0, gt=0)
    """Factor on the honest change of the target's row; 20 makes up for being one in twenty."""

    def reply(self, report: Report, aim: Aim) -> Report:
        """See `Adversary.reply`."""
        changed, tables, others = item_views(report, aim)
        for table in tables:
            if not table.is_floating_point():
                continue  # a count that no history could give would be refused
            kept = table[:, aim.target].clone() * self.boost
            table.zero_()
            table[:, aim.target] = kept
        for other in others:
            if other.is_floating_point() and other.shape[1:] != torch.Size([1]):
                other.zero_()
        return with_rows(changed, report)
