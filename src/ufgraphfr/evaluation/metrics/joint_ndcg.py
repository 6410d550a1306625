"""NDCG of all of a user's targets in one ranking, over what the best order of them would gain.

Jarvelin & Kekalainen, TOIS 20(4), 2002, with gains of 0 and 1; as of LightGCN (He et al., SIGIR
2020) and the benchmarks after it. `ndcg` ranks each target by itself.
"""

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.evaluation.metrics.base import JointMetric


class JointNDCG(JointMetric):
    """NDCG@k over all targets."""

    def values(
        self, ranks: NDArray[np.float64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """See `RankMetric.values`."""
        return (ranks <= self.at) / np.log2(1.0 + ranks)

    def ideal(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `JointMetric.ideal`: the targets are first, as far as k goes."""
        gains = np.cumsum(1.0 / np.log2(np.arange(self.at) + 2.0))
        best: NDArray[np.float64] = gains[np.minimum(counts, self.at) - 1]
        return best
