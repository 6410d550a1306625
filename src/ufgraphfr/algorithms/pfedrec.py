"""PFedRec: no user vector, but a private score layer and an item table tuned on the device.

Zhang et al., "Dual personalization on federated recommendation", IJCAI 2023: the score of item i
for user u is ``sigma(w_u . q_i + b_u)``. Each batch steps the score layer with the items frozen,
then the items with the new score layer; the server averages the item tables. The paper ranks with
the locally tuned table.
"""

from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.algorithms.pointwise.changes import mean_change, pack, unpack
from ufgraphfr.algorithms.pointwise.training import Pointwise
from ufgraphfr.core.arrays.tables import ChangedTables, SharedTable
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.models.stacked import init_linear, linear, stack
from ufgraphfr.ops.local_sgd import Batch, Params


class PFedRec(Pointwise):
    """Hyper-parameters of PFedRec."""

    aggregation: ClassVar[Aggregation] = Aggregation.PER_CLIENT

    row_scale: float = Field(5.0, gt=0)
    """Item rows learn at ``lr * items * row_scale``;
    at the family's 80 this bilinear model diverges."""
    score_scale: float = Field(5.0, gt=0)
    """The score layer learns at ``lr * score_scale``."""
    evaluated_table: Literal["received", "local"] = "local"
    """Rank with the table the server would send, or with the locally trained one.

    For the latter the server keeps the changes of the last round and the table before it; nothing
    but their mean is needed otherwise.
    """

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        return {"items": self.init_table(setting)}

    def init_private(self, setting: Setting, batch: ClientBatch) -> Private:
        """See `Algorithm.init_private`; all score layers start alike."""
        generator = Key(setting.seed, purpose=Purpose.INIT_SCORER).generator()
        return stack(init_linear("score", self.dim, 1, generator), len(batch))

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`."""
        tables = SharedTable(state["items"], len(clients))
        return Task(round_number, clients, {}, {"items": tables})

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`."""
        layer = {name: value.clone() for name, value in private.items()}

        # the score layer has stepped before the items are scored: only those are left to train
        change, loss = self.train(
            {},
            task.tables("items"),
            batch,
            key,
            lambda *_: partial(self._step_and_score, layer),
            lambda *_: None,
        )
        return Update({"items": change}, loss), layer

    def _step_and_score(
        self, layer: Params, params: Params, vectors: Tensor, table: Tensor, batch: Batch
    ) -> Tensor:
        """Step the score layer on a batch, in place; return the new layer's logits."""
        weight, bias = (layer[f"score.{part}"][: len(batch.row)] for part in ("weight", "bias"))
        with torch.no_grad():
            error = linear(vectors, weight, bias).squeeze(-1).sigmoid() - batch.positive
            error *= batch.weight
            lr = self.lr * self.score_scale
            weight.sub_(vectors.transpose(1, 2) @ error[..., None], alpha=lr)
            bias.sub_(error.sum(1, keepdim=True), alpha=lr)
        return linear(vectors, weight, bias).squeeze(-1)

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        new = {"items": state["items"] + mean_change(report)}
        if self.evaluated_table == "local":
            new |= pack(report.rows("items")) | {
                "before": state["items"],
                "reporters": report.clients,
            }
        return new

    def scoring_task(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `capabilities.ScoringTask`.

        A client that sat out the last round has no fresh local table; what it would have started
        from stands for it.
        """
        if self.evaluated_table == "received" or "reporters" not in state:
            return self.broadcast(state, clients, round_number)
        highest = int(torch.cat((state["reporters"], clients)).max())
        change = unpack(state).spread(state["reporters"], highest + 1).select(clients)
        tables = ChangedTables(SharedTable(state["before"], len(clients)), change)
        return Task(round_number, clients, {}, {"items": tables})

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        tables = task.tables("items").dense()
        return linear(tables, private["score.weight"], private["score.bias"]).squeeze(-1)
