"""Targeted push that knows of a row cap: it moves many rows, none longer than an honest one.

The target's row goes up and the rows of the most popular items go down, so that the target passes
them; no cap on rows sees anything unusual.
"""

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


class PushSpread(Adversary):
    """Moves the target up and its rivals down, each row as long as the cap lets it be."""

    stretch: float = Field(1.0, gt=0)
    """Length of the rows in units of the client's longest honest one."""

    def reply(self, report: Report, task: Task, aim: Aim) -> Report:
        """See `Adversary.reply`."""
        forged, tables, _ = item_views(report, aim)
        for name, table in tables.items():
            towards = uphill(name, task, aim)
            if towards is None:
                continue
            row = self.stretch * longest_row(table) * towards
            put(table, {aim.target: row} | {int(item): -row for item in aim.popular})
        return with_rows(forged, report)
