"""Hit rate, NDCG and reciprocal rank of one relevant item, from its rank.

HR@k = [rank <= k]; NDCG@k = [rank <= k] / log2(1 + rank) (the ideal is 1); NDCG the same for every
rank; MRR = mean of 1 / rank, untruncated. Ranks are 1-based and may be halves (ties).
"""

import re

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError, nearest

CUTOFFS = (5, 10, 20)
NAMES = (*(f"hr@{k}" for k in CUTOFFS), *(f"ndcg@{k}" for k in CUTOFFS), "ndcg", "mrr")
SELECTED_BY = "ndcg"
"""Picks rounds and blends on validation, in the full ranking. The untruncated NDCG hears every
user; NDCG@10 only those whose item is in the top ten, and its noise picks by chance."""


def values(name: str, ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """A metric before its mean is taken.

    Args:
        name: ``hr@k`` or ``ndcg@k`` with any k from 1, ``ndcg`` or ``mrr``.
        ranks: float64, any shape; NaN where there is no rank.

    Returns:
        float64 of the same shape, each in [0, 1], or NaN where there is no rank.

    Raises:
        InputError: no such metric.
    """
    if name == "mrr":
        return 1.0 / ranks
    if name == "ndcg":
        return 1.0 / np.log2(1.0 + ranks)
    parts = re.fullmatch(r"(hr|ndcg)@([1-9][0-9]*)", name)
    if parts is None:
        raise InputError(f"no metric '{name}': {nearest(name, NAMES)}")
    within = np.where(np.isnan(ranks), np.nan, ranks <= int(parts[2]))
    return within if parts[1] == "hr" else within / np.log2(1.0 + ranks)


def summary(ranks: NDArray[np.float64]) -> dict[str, float]:
    """All metrics of `NAMES`, averaged over the ranks there are; none without any."""
    known = ranks[~np.isnan(ranks)]
    return {name: float(values(name, known).mean()) for name in NAMES} if known.size else {}
