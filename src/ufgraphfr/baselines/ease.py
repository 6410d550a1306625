"""EASE: the best linear item-item model, in closed form.

Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019: with P = (X^T X + ridge
I)^-1, B_ij = -P_ij / P_jj off the diagonal, B_jj = 0. The history is weighted by decay^age.
"""

from typing import final

from pydantic import Field
from torch import Tensor

from ufgraphfr.baselines.base import Baseline
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.item_graph import co_interactions, ridge_inverse
from ufgraphfr.ops.recency import propagate


@final
class Ease(Baseline):
    """Ridge regression of every item on all others."""

    ridge: float = Field(500.0, gt=0)
    """The regulariser, lambda in the paper."""
    decay: float = Field(0.8, gt=0, le=1)
    """Weight of a history item relative to the next one."""

    def fit(self, training: ClientBatch) -> dict[str, Tensor]:
        """``operator``: float32 ``[items, items]``, from history item to candidate.

        Raises:
            InputError: the inverse does not fit `memory_budget`.
        """
        self.check_memory(len(training), training.n_items, len(training.items))
        gram = co_interactions(training.ptr, training.items, training.n_items)
        inverse = ridge_inverse(gram, self.ridge)
        operator = (-inverse / inverse.diagonal()).fill_diagonal_(0)
        return {"operator": operator.float().contiguous()}

    def score(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """The recency-weighted sum of coefficients."""
        weights = inputs.recency(self.decay)
        return propagate(inputs.ptr, inputs.items, weights, fitted["operator"])

    def estimated_bytes(self, users: int, items: int, interactions: int) -> int:
        """Three float64 ``[items, items]`` at once, the counts beside them, and a chunk's rows."""
        return 28 * items**2 + 4 * 1024 * items
