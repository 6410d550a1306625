"""Federated matrix factorisation: a private user vector, a shared item table.

Ammad-ud-din et al., "Federated collaborative filtering", arXiv 1901.09888, with sigmoid and
binary cross-entropy: the score of item i for user u is ``sigma(p_u . q_i)``; the server averages
the clients' item changes over the cohort.
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.algorithms.pointwise.changes import mean_change
from ufgraphfr.algorithms.pointwise.training import Pointwise
from ufgraphfr.core.arrays.tables import SharedTable
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.local_sgd import Forward, Params
from ufgraphfr.ops.touched import Touched


class FedMF(Pointwise):
    """Hyper-parameters of federated matrix factorisation."""

    aggregation: ClassVar[Aggregation] = Aggregation.SUM

    row_scale: float = Field(5.0, gt=0)
    """Item rows learn at ``lr * items * row_scale``;
    at the family's 80 this bilinear model diverges."""
    user_scale: float = Field(50.0, gt=0)
    """The user vector learns at ``lr * user_scale``."""
    server_lr: float = Field(1.0, gt=0)
    """Factor on the mean of the clients' item changes."""

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        return {"items": self.init_table(setting)}

    def init_private(self, setting: Setting, batch: ClientBatch) -> Private:
        """See `Algorithm.init_private`."""
        return {"user": self.init_user(setting, batch)}

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`."""
        params = {"user": private["user"].clone()}
        tables = SharedTable(task.shared["items"], len(batch))
        change, loss = self.train(params, tables, batch, key, self._forward, self._descend)
        return Update({"items": change}, loss), params

    def _forward(self, rows: Touched, epoch: int) -> Forward:
        return lambda params, vectors, *_: (vectors @ params["user"][..., None]).squeeze(-1)

    def _descend(self, params: Params, gradients: Params) -> None:
        params["user"].sub_(gradients["user"], alpha=self.lr * self.user_scale)

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        return {"items": state["items"] + self.server_lr * mean_change(report)}

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        return (task.shared["items"] @ private["user"][..., None]).squeeze(-1)
