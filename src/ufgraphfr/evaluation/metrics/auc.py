"""Area under the ROC curve: the share of a target's rivals that score below it, ties as halves.

1 - (rank - 1) / (candidates - 1). Rendle et al., "BPR: Bayesian personalized ranking from implicit
feedback", UAI 2009.
"""

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.evaluation.metrics.base import RankMetric


class AUC(RankMetric):
    """AUC: .5 for scores at random."""

    def values(
        self, ranks: NDArray[np.float64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """See `RankMetric.values`."""
        return 1.0 - (ranks - 1.0) / (candidates - 1)
