"""Graph filters of the item operator: nothing is trained, all comes from one sum over clients.

Shen, Wu, Zhang, Shan, Zhang, Letaief, Li, "How powerful is graph convolution for recommendation?",
CIKM 2021 (GF-CF), and, for sharpening, Choi, Hong, Park, Cho, "Blurring-sharpening process models
for collaborative filtering", SIGIR 2023. With the operator P, its eigenvectors V of the largest
eigenvalues L, the counts D of the items and a history x in {0, 1}^items, a device scores

  x D^(1/2 - a) P D^(1/2 - b)  +  x D^(-1/2) V (w - s L^2) V^T D^(1/2),

a linear filter and an ideal low-pass of weight w, from which s of two more steps over the graph is
taken back. With a = b = 1/2, w = .3, s = 0 and 256 eigenvectors it is GF-CF.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting, Update
from ufgraphfr.algorithms.item_operator.directions import directions
from ufgraphfr.algorithms.item_operator.operator import COUNTS, OperatorSpec, filtered
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.recency import propagate

VECTORS, GAINS = "filter.vectors", "filter.gains"
"""In the server's memory: V, float ``[items, rank]``, and what each direction is multiplied by."""


class GraphFilter(Algorithm):
    """Hyper-parameters of a graph filter; after the operator's rounds there is nothing to learn."""

    aggregation: ClassVar[Aggregation] = Aggregation.SUM
    counted: ClassVar[dict[str, str]] = {"rank": "items"}

    operator: OperatorSpec = OperatorSpec()
    """How the operator is summed."""
    history_power: float = Field(0.5, ge=0, le=1)
    """a: how much less a popular item of the history counts."""
    item_power: float = Field(0.5, ge=0, le=1)
    """b: how much less a popular item is recommended."""
    rank: int = Field(256, ge=1)
    """Directions of the low-pass."""
    low_pass: float = Field(0.3, ge=0)
    """w, weight of the low-pass."""
    sharpening: float = Field(0.0, ge=0)
    """s, within the low-pass's directions."""

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        vectors = torch.zeros(setting.items, self.rank)
        return self.operator.begun(setting.items) | {
            VECTORS: vectors,
            GAINS: torch.zeros(self.rank),
        }

    def warm_start(self, fresh: State, before: State) -> State:
        """See `capabilities.WarmStart`: nothing was trained, and all is summed anew."""
        return fresh

    def asks_all_clients(self, round_number: int) -> bool:
        """See `capabilities.AsksAllClients`: the operator is a sum over everybody."""
        return round_number <= self.operator.rounds

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`; clients need nothing to add to the sum."""
        return Task(round_number, clients, {}, {})

    def scoring_task(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `capabilities.ScoringTask`."""
        return Task(round_number, clients, state, {})

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`: rows of the sum; afterwards nothing."""
        if self.asks_all_clients(task.round):
            return self.operator.contribution(batch, task.round), {}
        nothing = batch.text.new_zeros(len(batch))
        return Update({"nothing": nothing[:, None]}, nothing), {}

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        if not self.asks_all_clients(report.round):
            return state
        state = state | self.operator.collect(state, report.sums, report.round)
        return state | self._directions(state) if report.round == self.operator.rounds else state

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        state, items = task.shared, inputs.items
        counts = state[COUNTS].clamp(min=1)
        linear = filtered(state, inputs, counts[items] ** (0.5 - self.history_power))
        vectors = propagate(inputs.ptr, items, counts[items].rsqrt(), state[VECTORS])
        smooth = (vectors * state[GAINS]) @ state[VECTORS].T
        return linear * counts ** (0.5 - self.item_power) + smooth * counts.sqrt()

    def _directions(self, state: State) -> State:
        """The eigenvectors and what they are multiplied by."""
        vectors, value = directions(state, self.rank)
        gains = self.low_pass - self.sharpening * value.square()
        missing = self.rank - len(value)
        return {
            VECTORS: torch.nn.functional.pad(vectors, (0, missing)),
            GAINS: torch.nn.functional.pad(gains, (0, missing)),
        }
