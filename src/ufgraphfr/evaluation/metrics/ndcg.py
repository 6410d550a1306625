"""Normalised discounted cumulative gain: 1 / log2(1 + rank) for one item, whose ideal is 1.

Jarvelin & Kekalainen, "Cumulated gain-based evaluation of IR techniques", TOIS 20(4), 2002. With k
nothing is gained below rank k; without, every rank counts.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ufgraphfr.evaluation.metrics.base import RankMetric


class NDCG(RankMetric):
    """NDCG, or NDCG@k."""

    at: int | None = Field(None, ge=1)
    """The k of the best k items; without it the whole ranking counts."""

    def values(
        self, ranks: NDArray[np.float64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """See `RankMetric.values`."""
        within = 1.0 if self.at is None else ranks <= self.at
        return within / np.log2(1.0 + ranks)
