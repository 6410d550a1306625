"""Recall of all of a user's targets in one ranking: how many are among the best k, over all.

As of LightGCN (He et al., SIGIR 2020) and the benchmarks after it; `recall` ranks each by itself.
"""

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.evaluation.metrics.base import JointMetric
from ufgraphfr.evaluation.metrics.hr import HitRate


class JointRecall(HitRate, JointMetric):
    """Recall@k over all targets."""

    def ideal(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `JointMetric.ideal`: all of them, however many fit into k."""
        return counts.astype(np.float64)
