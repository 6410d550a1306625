"""Clients' changes of item tables: their mean, and sparse ones as arrays of the server's memory."""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.messages import Report, State


def mean_change(report: Report) -> Tensor:
    """The mean over the cohort of the changes of ``items``, float ``[items, dim]``."""
    return report.sums["items"] / max(1, len(report.clients))


def touched_mean(change: Rows) -> Tensor:
    """The mean change of each row over the clients that changed it, float ``[items, dim]``."""
    counts = torch.bincount(change.index, minlength=change.height)
    return change.total() / counts.clamp(min=1)[:, None]


def pack(change: Rows) -> State:
    """The arrays ``change.ptr``, ``change.index`` and ``change.values``."""
    return {"change.ptr": change.ptr, "change.index": change.index, "change.values": change.values}


def unpack(state: State) -> Rows:
    """What `pack` packed; the tables are as high as ``items``."""
    return Rows(
        state["change.ptr"], state["change.index"], state["change.values"], len(state["items"])
    )
