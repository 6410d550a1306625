"""Markov: what follows the items of the history.

T_ij = sum over clients and gaps g = 1..``gaps`` of 1/g where item j comes g places after item i;
M_ij = T_ij / (sqrt(n_i n_j) + shrink), n the items' counts. The history is weighted by decay^age.
"""

from typing import final

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.baselines.base import Baseline
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.item_graph import normalised, transitions
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
