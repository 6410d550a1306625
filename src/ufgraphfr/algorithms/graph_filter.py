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

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.item_operator.directions import directions
from ufgraphfr.algorithms.item_operator.operator import COUNTS, filtered
from ufgraphfr.algorithms.item_operator.summed import FromOperator
from ufgraphfr.core.messages import Private, State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.recency import propagate

VECTORS, GAINS = "filter.vectors", "filter.gains"
"""In the server's memory: V, float ``[items, rank]``, and what each direction is multiplied by."""


class GraphFilter(FromOperator):
    """Hyper-parameters of a graph filter."""

    counted: ClassVar[dict[str, str]] = {"rank": "items"}

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

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        state, items = task.shared, inputs.items
        counts = state[COUNTS].clamp(min=1)
        weights = counts[items][None] ** (0.5 - self.history_power)
        vectors = propagate(inputs.ptr, items, counts[items].rsqrt(), state[VECTORS])
        smooth = (vectors * state[GAINS]) @ state[VECTORS].T
        linear = filtered(state, inputs, weights)[0] * counts ** (0.5 - self.item_power)
        return linear + smooth * counts.sqrt()

    def completed(self, state: State) -> State:
        """See `FromOperator.completed`: eigenvectors and what they are multiplied by."""
        vectors, value = directions(state, self.rank)
        gains = self.low_pass - self.sharpening * value.square()
        missing = self.rank - len(value)
        return {
            VECTORS: torch.nn.functional.pad(vectors, (0, missing)),
            GAINS: torch.nn.functional.pad(gains, (0, missing)),
        }
