"""Markov: what follows the items of the history.

T_ij = sum over clients and gaps g = 1..``gaps`` of 1/g where item j comes g places after item i;
M_ij = T_ij / (sqrt(n_i n_j) + shrink), n the items' counts. The history is weighted by decay^age.
"""

from typing import final

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.item_graph import normalised
from ufgraphfr.ops.recency import propagate, recency


@final
class Markov(Baseline):
    """Directed transitions between items, normalised by their counts."""

    gaps: int = Field(5, ge=1)
    """The farthest distance between two items that counts as a transition."""
    shrink: float = Field(20.0, ge=0)
    """Pulls transitions between rare items to zero."""
    decay: float = Field(0.8, gt=0, le=1)
    """Weight of a history item relative to the next one."""

    def fit(self, training: ClientBatch) -> dict[str, Tensor]:
        """``operator``: float32 ``[items, items]``, from history item to candidate."""
        counts = transitions(training.ptr, training.items, training.n_items, self.gaps)
        total = torch.bincount(training.items, minlength=training.n_items)
        return {"operator": normalised(counts, total, self.shrink)}

    def score(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """The recency-weighted sum of transitions."""
        weights = recency(inputs.ptr, self.decay)
        return propagate(inputs.ptr, inputs.items, weights, fitted["operator"])


def transitions(ptr: Tensor, items: Tensor, catalogue: int, gaps: int) -> Tensor:
    """How often one item follows another within some places, near ones counting more.

    Args:
        ptr: int64 ``[clients + 1]``, the clients' places in ``items``.
        items: int64 ``[rows]``, in time order.
        catalogue: how many items there are.
        gaps: the farthest distance counted.

    Returns:
        float32 ``[catalogue, catalogue]``; row ``i`` holds what follows item ``i``.
    """
    owner = owners(ptr, len(items))
    counts = torch.zeros(catalogue**2, device=items.device)
    for gap in range(1, gaps + 1):
        before, after = items[:-gap], items[gap:]
        pair = (before * catalogue + after)[owner[:-gap] == owner[gap:]]
        counts.index_add_(0, pair, counts.new_full((len(pair),), 1 / gap))
    return counts.view(catalogue, catalogue)
