"""Novelty: how little known the best k are, the mean of -log2(share of users who know the item).

Mean self-information: Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender
systems", PNAS 107(10), 2010. Who knows an item is read from the input of the users that are asked;
an item that nobody knows counts as known to one.
"""

import numpy as np

from ufgraphfr.evaluation.metrics.base import ListMetric, TopLists


class Novelty(ListMetric):
    """Novelty@k, in bits: 0 if everybody knows all that is shown."""

    def value(self, lists: TopLists) -> float:
        """See `ListMetric.value`; 0 if nothing is listed."""
        bits = np.log2(max(1, lists.users) / np.maximum(1, lists.known))
        return float((lists.listed * bits).sum()) / max(1, int(lists.listed.sum()))
