"""Catalogue coverage: the share of all items that are among the best k of somebody.

Ge, Delgado-Battenfeld & Jannach, "Beyond accuracy: evaluating recommender systems by coverage and
serendipity", RecSys 2010.
"""

import numpy as np

from ufgraphfr.evaluation.metrics.base import ListMetric, TopLists


class Coverage(ListMetric):
    """Coverage@k: 1 if every item is listed for somebody."""

    def value(self, lists: TopLists) -> float:
        """See `ListMetric.value`."""
        return int(np.count_nonzero(lists.listed)) / len(lists.listed)
