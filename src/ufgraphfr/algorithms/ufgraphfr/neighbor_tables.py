"""What a client receives: the global item table plus a message of its neighbors' changes.

Client u starts from ``G + message * sum_v A_uv Delta_v``, Delta_v the change that neighbor v sent
in the last round. Of the round the server keeps these sparse changes alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.algorithms.pointwise.changes import pack, unpack
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.arrays.tables import ChangedTables, GraphTables, Tables
from ufgraphfr.core.messages import State

BEFORE = "before."
"""Before the names of the arrays that a client's last table is made of."""


@dataclass(frozen=True)
class NeighborTables:
    """Tables from neighbors' changes.

    Attributes:
        message: weight of the changes.
        keep_trained: whether the tables that clients trained locally are wanted afterwards.
    """

    message: float
    keep_trained: bool

    def empty(self, table: Tensor, users: int) -> State:
        """The server's memory of nobody's changes of a table ``[items, dim]``."""
        return pack(Rows.of(table.new_zeros(0, *table.shape)))

    def received(self, state: State, clients: Tensor) -> Tables:
        """The tables these clients start from."""
        index, weight = state["graph.index"][clients], state["graph.weight"][clients]
        position = torch.full_like(state["known"], -1, dtype=torch.int64)
        reporters = state["reporters"]
        position[reporters] = torch.arange(len(reporters), device=position.device)
        reported = position[index]
        # a neighbor of an older graph may have sat out the last round: it has no change
        weight = torch.where(reported >= 0, weight * self.message, 0)
        return GraphTables(state["items"], unpack(state), reported.clamp(min=0), weight)

    def collected(self, state: State, clients: Tensor, change: Rows) -> State:
        """What is kept of a round, given the memory before it."""
        kept = pack(change)
        if self.keep_trained:
            names = ("items", "reporters", "graph.index", "graph.weight", *kept)
            kept = kept | {BEFORE + name: state[name] for name in names}
        return kept

    def trained(self, state: State, clients: Tensor) -> Tables:
        """The tables these clients trained; of who sat out, what it would have started from."""
        before = {
            name.removeprefix(BEFORE): value
            for name, value in state.items()
            if name.startswith(BEFORE)
        }
        change = unpack(state).spread(state["reporters"], len(state["known"])).select(clients)
        return ChangedTables(self.received(state | before, clients), change)
