"""Hit rate: the share of targets among the best k, [rank <= k].

Deshpande & Karypis, "Item-based top-N recommendation algorithms", TOIS 22(1), 2004.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ufgraphfr.evaluation.metrics.base import RankMetric


class HitRate(RankMetric):
    """HR@k."""

    at: int = Field(ge=1)
    """The k of the best k items."""

    def values(
        self, ranks: NDArray[np.float64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """See `RankMetric.values`."""
        return (ranks <= self.at).astype(np.float64)
