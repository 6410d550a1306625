"""ItemKNN: what resembles the items of the history.

Sarwar, Karypis, Konstan, Riedl, "Item-based collaborative filtering recommendation algorithms",
WWW 2001, on implicit feedback: s_ij = G_ij / (sqrt(G_ii G_jj) + shrink), G = X^T X; candidate j
scores the sum of decay^age(i) s_ij over the history items i among the ``neighbors`` nearest of j.
"""

from typing import ClassVar, final

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.baselines.base import Baseline
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.item_graph import co_interactions
from ufgraphfr.ops.recency import propagate, recency


@final
class ItemKNN(Baseline):
    """Nearest neighbours among items by shrunk cosine."""

    counted: ClassVar[dict[str, str]] = {"neighbors": "items"}

    neighbors: int = Field(100, ge=1)
    """Nearest items of each candidate that count; as many as the catalogue has: all."""
    shrink: float = Field(20.0, ge=0)
    """Pulls similarities that rest on few clients to zero."""
    decay: float = Field(0.9, gt=0, le=1)
    """Weight of a history item relative to the next one."""

    def fit(self, training: ClientBatch) -> dict[str, Tensor]:
        """``operator``: float ``[items, items]``, from history item to candidate."""
        gram = co_interactions(training.ptr, training.items, training.n_items)
        # an item nobody has is similar to nothing
        root = gram.diagonal().clamp(min=1).sqrt()
        similar = gram.fill_diagonal_(0) / (torch.outer(root, root) + self.shrink)
        kept = min(self.neighbors, training.n_items)
        values, nearest = similar.topk(kept, dim=1)
        operator = torch.zeros_like(similar).scatter_(1, nearest, values).T
        return {"operator": operator.contiguous()}

    def score(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """The recency-weighted sum of similarities."""
        weights = recency(inputs.ptr, self.decay)
        return propagate(inputs.ptr, inputs.items, weights, fitted["operator"])
