"""Markov: what follows the items of the history.

T_ij = sum over clients and gaps g = 1..``gaps`` of 1/g where item j comes g places after item i;
M_ij = T_ij / (sqrt(n_i n_j) + shrink), n the items' counts. The history is weighted by decay^age.
"""

from typing import final

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.baselines._links import Links, coalesced, linked_scores, operator_bytes
from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.data.client_batches import ClientBatch


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
        """``operator``, from history item to candidate: see `Links.arrays`."""
        items = training.n_items
        before, after, counts = transitions(training.ptr, training.items, items, self.gaps)
        root = torch.bincount(training.items, minlength=items).float().sqrt()
        values = counts / (root[before] * root[after] + self.shrink)
        return Links.of(before, after, values, items).arrays("operator")

    def score(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """The recency-weighted sum of transitions."""
        return linked_scores(fitted, "operator", inputs, self.decay)

    def estimated_bytes(self, users: int, items: int, interactions: int) -> int:
        """The transitions, of which there are at most ``gaps`` for each interaction."""
        return operator_bytes(items, self.gaps * interactions)


def transitions(ptr: Tensor, items: Tensor, catalogue: int, gaps: int) -> tuple[Tensor, ...]:
    """How often one item follows another within some places, near ones counting more.

    Args:
        ptr: int64 ``[clients + 1]``, the clients' places in ``items``.
        items: int64 ``[rows]``, in time order.
        catalogue: how many items there are.
        gaps: the farthest distance counted.

    Returns:
        Every pair that occurs, once: the items before and after, int64 ``[pairs]`` each, ascending,
        and float32 ``[pairs]``.
    """
    owner = owners(ptr, len(items))
    found, weights = [], []
    for gap in range(1, gaps + 1):
        same = owner[:-gap] == owner[gap:]
        found.append((items[:-gap] * catalogue + items[gap:])[same])
        weights.append(torch.full((len(found[-1]),), 1 / gap, device=items.device))
    pairs, counts = coalesced(torch.cat(found), torch.cat(weights))
    return pairs // catalogue, pairs % catalogue, counts
