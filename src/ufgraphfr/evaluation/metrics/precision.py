"""Precision: the share of the best k that is relevant, [rank <= k] / k for one relevant item."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ufgraphfr.evaluation.metrics.base import RankMetric


class Precision(RankMetric):
    """Precision@k."""

    at: int = Field(ge=1)
    """The k of the best k items."""

    def values(
        self, ranks: NDArray[np.float64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """See `RankMetric.values`."""
        return (ranks <= self.at) / self.at
