"""Targeted push on one row: far in the direction that everybody likes, and nothing else."""

from pydantic import Field

from ufgraphfr.core.messages import Report, Task
from ufgraphfr.federation.adversaries.base import (
    Adversary,
    Aim,
    item_views,
    longest_row,
    put,
    uphill,
    with_rows,
)


class PushRow(Adversary):
    """Moves the target's row alone."""

    boost: float = Field(20.0, gt=0)
    """Length of the row in units of the client's longest honest one; 20 makes up for being one
    in twenty."""

    def reply(self, report: Report, task: Task, aim: Aim) -> Report:
        """See `Adversary.reply`."""
        forged, tables, others = item_views(report, aim)
        for name, table in tables.items():
            towards = uphill(name, task, aim)
            if towards is None:
                continue  # a count that no history could give would be refused
            put(table, {aim.target: self.boost * longest_row(table) * towards})
        for other in others.values():
            if other[0].numel() > 1 and other.is_floating_point():
                other.zero_()
        return with_rows(forged, report)
