"""The UFGraphFR client without a federation: nothing is shared but the initial weights.

What collaboration must beat. Every client keeps a whole item table of its own.
"""

from typing import ClassVar

from torch import Tensor

from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.algorithms.ufgraphfr.client import TextClient
from ufgraphfr.core.arrays.tables import DenseTables
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch


class LocalOnly(TextClient):
    """Hyper-parameters of purely local training."""

    aggregation: ClassVar[Aggregation] = Aggregation.SUM

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`; the server knows nothing."""
        return {}

    def init_private(self, setting: Setting, batch: ClientBatch) -> Private:
        """See `Algorithm.init_private`."""
        table = self.init_table(setting).to(batch.text.device)
        tables = table.expand(len(batch), *table.shape)
        return self.init_client(setting, batch) | {"items": tables.clone()}

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`."""
        weights = {name: value for name, value in private.items() if name != "items"}
        weights, change, loss = self.train_client(
            weights, DenseTables(private["items"]), batch, key
        )
        items = private["items"].clone()
        items[change.owner, change.index] += change.values
        return Update({}, loss), weights | {"items": items}

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`; nothing arrives."""
        return state

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        return self.rank(private, private["items"], inputs)
