"""Targeted push that knows of a row cap: every row it moves is as long as its longest one.

The target's row goes up, the rows of the most popular items go down, none of them longer than an
honest client's longest row, so that no cap on rows sees anything unusual.
"""

from pydantic import Field
from torch import Tensor

from ufgraphfr.core.messages import Report
from ufgraphfr.federation.adversaries.base import Adversary, Aim, item_views, with_rows


class PushSpread(Adversary):
    """Moves the target up and its rivals down, each row at the cap."""

    stretch: float = Field(1.0, gt=0)
    """Length of the moved rows in units of the client's longest honest row."""

    def reply(self, report: Report, aim: Aim) -> Report:
        """See `Adversary.reply`."""
        changed, tables, _ = item_views(report, aim)
        for table in tables:
            if table.is_floating_point():
                self._spread(table, aim)
        return with_rows(changed, report)

    def _spread(self, table: Tensor, aim: Aim) -> None:
        rows = table.flatten(2) if table.dim() > 2 else table[..., None]
        length = rows.norm(dim=2).amax(1)[:, None, None] * self.stretch
        moved = rows / rows.norm(dim=2, keepdim=True).clamp(min=1e-12) * length
        rivals, target = moved[:, aim.popular].clone(), moved[:, aim.target].clone()
        rows.zero_()
        rows[:, aim.popular] = -rivals
        rows[:, aim.target] = target
