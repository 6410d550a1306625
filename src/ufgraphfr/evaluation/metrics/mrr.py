"""Mean reciprocal rank, 1 / rank of every target, however low.

Voorhees, "The TREC-8 question answering track report", 1999. Cut off at k it is ``map@k``.
"""

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.evaluation.metrics.base import RankMetric


class MRR(RankMetric):
    """MRR, untruncated."""

    def values(
        self, ranks: NDArray[np.float64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """See `RankMetric.values`."""
        return 1.0 / ranks
