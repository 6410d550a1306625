"""Recall: the share of a user's targets among the best k.

Each target is ranked without the user's other targets, so recall@k is the mean of their hits and
equals ``hr@k``; other targets above it, as in one ranking of all of them, do not push it out.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ufgraphfr.evaluation.metrics.base import RankMetric


class Recall(RankMetric):
    """Recall@k."""

    at: int = Field(ge=1)
    """The k of the best k items."""

    def values(
        self, ranks: NDArray[np.float64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """See `RankMetric.values`."""
        return (ranks <= self.at).astype(np.float64)
