"""Hit rate: the share of targets among the best k, [rank <= k].

Deshpande & Karypis, "Item-based top-N recommendation algorithms", TOIS 22(1), 2004.
"""

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.evaluation.metrics.base import TopRankMetric


class HitRate(TopRankMetric):
    """HR@k."""

    def values(
        self, ranks: NDArray[np.float64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """See `RankMetric.values`."""
        return (ranks <= self.at).astype(np.float64)
