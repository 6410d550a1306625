"""GPFedRec: a user graph from uploaded item tables, whose aggregates guide the local tables.

Zhang et al., "GPFedRec: graph-guided personalization for federated recommendation", KDD 2024.
Private user vector p_u and score MLP; the score of item i is ``sigma(MLP([p_u ; q_i]))``. Client
u starts from the global table G, minimises ``BCE + lambda mean((E_u - R_u)^2)`` and uploads its
whole table E_u (as its change from G). The server relates users whose tables' cosine lies above
the mean (itself included), R_u is the mean of u's related tables, and G the mean of all R_u.

Whole tables are inherent: every row of E_u moves towards R_u. The server's memory is
reporters x items x d, and related users cost reporters^2 x items x d multiplications a round.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.algorithms.pointwise.neural import NeuralClient
from ufgraphfr.core.arrays.tables import DenseTables, SharedTable, Tables
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.models.stacked import stack


class GPFedRec(NeuralClient):
    """Hyper-parameters of GPFedRec."""

    aggregation: ClassVar[Aggregation] = Aggregation.PER_CLIENT

    lr: float = Field(0.5, gt=0)
    """Learning rate of the networks; at the family's 0.1 the MLP hardly leaves its plateau."""
    row_scale: float = Field(16.0, gt=0)
    """Item rows learn at ``lr * items * row_scale``;
    with this ``lr`` item rows learn as fast as in the family."""
    user_scale: float = Field(10.0, gt=0)
    """The user vector learns at ``lr * user_scale``."""
    evaluated_table: Literal["received", "local"] = "received"
    """Rank with the table the server would send, or with the locally trained one."""

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        table = self.init_table(setting)
        return {
            "items": table,
            "tables": table.new_zeros(0, *table.shape),
            "reporters": torch.zeros(0, dtype=torch.int64),
            "graph": torch.zeros(0, 0),
        }

    def init_private(self, setting: Setting, batch: ClientBatch) -> Private:
        """See `Algorithm.init_private`; all score MLPs start alike."""
        user = {"user": self.init_user(setting, batch)}
        return user | stack(self.init_scorer(setting), len(batch))

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`."""
        start = SharedTable(state["items"], len(clients))
        tables = {"items": start, "related": _related(state, clients)}
        return Task(round_number, clients, {}, tables)

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`.

        A row that no sample touches has no gradient but the pull's: after b batches it lies at
        ``R_u - (1 - decay)^b (R_u - G)``.
        """
        params = {name: value.clone() for name, value in private.items()}
        start, related = task.tables("items"), task.tables("related")
        touched, loss = self.train(
            params, start, batch, key, self.forward, self.descend, anchors=related
        )
        batches = -(-batch.counts * (1 + self.negatives) // self.batch_size) * self.local_epochs
        nearer = 1 - (1 - self.decay) ** batches
        change = (related.dense() - start.dense()).mul_(nearer[:, None, None])
        change[touched.owner, touched.index] = touched.values
        return Update({"items": change}, loss), params

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        tables = state["items"] + report.arrays["items"].dense()
        graph = related_users(tables)
        mean = graph.mean(0) @ tables.flatten(1)
        return {
            "items": mean.view_as(state["items"]),
            "tables": tables,
            "reporters": report.clients,
            "graph": graph,
        }

    def scoring_task(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `capabilities.ScoringTask`.

        A client that sat out the last round has no fresh local table; the global one stands for
        it.
        """
        tables: Tables = SharedTable(state["items"], len(clients))
        if self.evaluated_table == "local" and len(state["reporters"]):
            position, reported = _positions(state, clients)
            trained = torch.where(
                reported[:, None, None], state["tables"][position], state["items"]
            )
            tables = DenseTables(trained)
        return Task(round_number, clients, {}, {"items": tables})

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        return self.rank(private, task.tables("items").dense())


def related_users(tables: Tensor) -> Tensor:
    """Who is like whom, by the cosine of whole item tables.

    Args:
        tables: float ``[users, items, dim]``.

    Returns:
        float ``[users, users]``, rows sum to one: uniform over oneself and all users whose cosine
        lies above the mean of all cosines.
    """
    flat = tables.flatten(1)
    products = flat @ flat.T
    length = products.diagonal().sqrt().clamp(min=1e-12)
    cosine = products / (length[:, None] * length)
    chosen = (cosine > cosine.double().mean()).fill_diagonal_(True).float()
    return chosen / chosen.sum(1, keepdim=True)


def _related(state: State, clients: Tensor) -> Tables:
    """R_u of each client; the global table for who sat out the last round."""
    if len(state["reporters"]) == 0:
        return SharedTable(state["items"], len(clients))
    position, reported = _positions(state, clients)
    mixed = state["graph"][position] @ state["tables"].flatten(1)
    mixed = mixed.view(-1, *state["items"].shape)
    mixed[~reported] = state["items"]
    return DenseTables(mixed)


def _positions(state: State, clients: Tensor) -> tuple[Tensor, Tensor]:
    """Each client's position among the reporters, int64, and whether it is one of them, bool."""
    reporters = state["reporters"]
    position = torch.searchsorted(reporters, clients).clamp(max=len(reporters) - 1)
    return position, reporters[position] == clients
