"""Recall: the share of a user's targets among the best k.

Each target is ranked without the user's other targets, so recall@k is the mean of their hits and
equals ``hr@k``; other targets above it, as in one ranking of all of them, do not push it out.
"""

from ufgraphfr.evaluation.metrics.hr import HitRate


class Recall(HitRate):
    """Recall@k."""
