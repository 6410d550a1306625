"""The published code's readings of UFGraphFR, apart from the repaired method.

docs/fidelity.md sets the paper, its published code and the repair side by side. The published
Laplace noise is the mechanism ``laplace-as-published``.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ufgraphfr.algorithms.ufgraphfr.neighbors import Neighbors, as_sparse
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.arrays.tables import DenseTables, Tables
from ufgraphfr.core.messages import State

PRESETS: dict[str, Any] = {
    "row_scale": 80.0,
    "scoring": "mlp",
    "average": "cohort",
    "message": 1.0,
    "relation": "distance",
    "threshold": "mean",
    "include_self": False,
    "history": 0,
    "activation": "none",
    "personal_tables": True,
    "joint_upload": "dense",
    "evaluated_table": "local",
}
"""Values for all keys that are not given."""


@dataclass(frozen=True)
class PersonalTables:
    """The server keeps a dense table for each user and averages those: users x items x d.

    It takes the place of `NeighborTables`; see there for the methods.
    """

    def empty(self, table: Tensor, users: int) -> State:
        """Every user's own copy of a table ``[items, dim]``."""
        return {"tables": table.expand(users, *table.shape).clone()}

    def received(self, state: State, clients: Tensor) -> Tables:
        """Weighted means of the neighbors' tables; the global table for who has none."""
        neighbors = Neighbors(state["graph.index"][clients], state["graph.weight"][clients])
        tables = state["tables"]
        alone = neighbors.weight.sum(1) == 0
        mixed = as_sparse(neighbors, len(tables)).to_dense() @ tables.flatten(1)
        mixed = mixed.view(-1, *tables.shape[1:])
        mixed[alone] = state["items"]
        return DenseTables(mixed)

    def collected(self, state: State, clients: Tensor, change: Rows) -> State:
        """All users' tables after a round, given the memory before it."""
        start = self.received(state, clients).dense()
        return {"tables": state["tables"].index_copy(0, clients, start + change.dense())}

    def trained(self, state: State, clients: Tensor) -> Tables:
        """The tables these clients trained."""
        return DenseTables(state["tables"][clients])


def written_out(step: Tensor, text: Tensor) -> Tensor:
    """The joint layer's change ``step text^T`` in full, float ``[clients, dim * width]``."""
    return (step[:, :, None] * text[:, None, :]).flatten(1)
