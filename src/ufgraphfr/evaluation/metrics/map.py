"""Mean average precision: [rank <= k] / rank, which the average precision of one relevant item is.

Manning, Raghavan & Schutze, "Introduction to information retrieval", 2008, section 8.4.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ufgraphfr.evaluation.metrics.base import RankMetric


class MAP(RankMetric):
    """MAP@k."""

    at: int = Field(ge=1)
    """The k of the best k items."""

    def values(
        self, ranks: NDArray[np.float64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """See `RankMetric.values`."""
        return (ranks <= self.at) / ranks
