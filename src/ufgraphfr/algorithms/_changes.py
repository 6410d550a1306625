"""Sparse changes of item tables as arrays of the server's memory, and back."""

from ufgraphfr.core.messages import State
from ufgraphfr.core.rows import Rows


def pack(change: Rows) -> State:
    """The arrays ``change.ptr``, ``change.index`` and ``change.values``."""
    return {"change.ptr": change.ptr, "change.index": change.index, "change.values": change.values}


def unpack(state: State) -> Rows:
    """What `pack` packed; the tables are as high as ``items``."""
    return Rows(
        state["change.ptr"], state["change.index"], state["change.values"], len(state["items"])
    )
