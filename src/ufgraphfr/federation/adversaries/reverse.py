"""Untargeted: the opposite of what an honest client would reply, many times over."""

import torch
from pydantic import Field

from ufgraphfr.core.messages import Report, Task
from ufgraphfr.federation.adversaries.base import Adversary, Aim, item_views, with_rows


class Reverse(Adversary):
    """Tries to undo what the others learn."""

    boost: float = Field(20.0, gt=0)
    """Length of the reply in units of the honest one."""

    def reply(self, report: Report, task: Task, aim: Aim) -> Report:
        """See `Adversary.reply`."""
        changed, tables, others = item_views(report, aim)
        for view in (*tables.values(), *others.values()):
            # a count of one number is what the server divides by, not something to learn from
            if view[0].numel() > 1 and (view.is_floating_point() or view.dtype == torch.int64):
                # on a grid of clipped updates there is no room for more than a change of sign
                view.mul_(-self.boost if view.is_floating_point() else -1)
        return with_rows(changed, report)
