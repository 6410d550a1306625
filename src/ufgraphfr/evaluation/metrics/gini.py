"""Gini index of how often items are among the best k: 0 if all equally, 1 if one item is all.

sum_j (2j - n - 1) p_j / (n - 1) over the n items, their shares p of all lists ascending. Shani &
Gunawardana, "Evaluating recommendation systems", Recommender Systems Handbook, 2011.
"""

import numpy as np

from ufgraphfr.evaluation.metrics.base import ListMetric, TopLists


class Gini(ListMetric):
    """Gini@k: how unequally items are shown."""

    def value(self, lists: TopLists) -> float:
        """See `ListMetric.value`; 0 if nothing is listed."""
        items = len(lists.listed)
        shares = np.sort(lists.listed) / max(1, lists.listed.sum())
        weights = 2.0 * np.arange(1, items + 1) - items - 1
        return float((weights * shares).sum()) / max(1, items - 1)
