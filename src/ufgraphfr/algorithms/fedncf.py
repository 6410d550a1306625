"""Federated neural collaborative filtering: a private user vector; items and score MLP are shared.

Perifanis and Efraimidis, "Federated neural collaborative filtering", Knowledge-Based Systems 242,
2022: the score of item i for user u is ``sigma(MLP([p_u ; q_i]))``; the server averages the
clients' changes of the item table and of the MLP over the cohort.
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.algorithms.pointwise.neural import NeuralClient
from ufgraphfr.core.arrays.tables import SharedTable
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.models.stacked import stack


class FedNCF(NeuralClient):
    """Hyper-parameters of federated neural collaborative filtering."""

    aggregation: ClassVar[Aggregation] = Aggregation.SUM

    lr: float = Field(0.3, gt=0)
    """Learning rate of the networks; at the family's 0.1 a shared MLP hardly leaves its plateau."""
    row_scale: float = Field(27.0, gt=0)
    """Item rows learn at ``lr * items * row_scale``;
    with this ``lr`` item rows learn as fast as in the family."""
    user_scale: float = Field(100.0, gt=0)
    """The user vector learns at ``lr * user_scale``."""
    server_lr: float = Field(4.0, gt=0)
    """Factor on the mean of the clients' changes, which few of them make to any one item."""

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        return {"items": self.init_table(setting)} | self.init_scorer(setting)

    def init_private(self, setting: Setting, batch: ClientBatch) -> Private:
        """See `Algorithm.init_private`."""
        return {"user": self.init_user(setting, batch)}

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`."""
        shared = {name: value for name, value in state.items() if name != "items"}
        tables = SharedTable(state["items"], len(clients))
        return Task(round_number, clients, shared, {"items": tables})

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`."""
        params = {"user": private["user"].clone()} | stack(task.shared, len(batch))
        items, loss = self.train(
            params, task.tables("items"), batch, key, self.forward, self.descend
        )
        change = {name: params[name].sub_(value) for name, value in task.shared.items()}
        return Update({"items": items, **change}, loss), {"user": params["user"]}

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        step, sums = self.server_lr / max(1, len(report.clients)), report.sums
        return {name: value + sums[name] * step for name, value in state.items()}

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        mlp = {name: value.expand(len(inputs), *value.shape) for name, value in task.shared.items()}
        return self.rank(private | mlp, task.tables("items").dense())
