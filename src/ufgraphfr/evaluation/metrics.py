"""Hit rate, NDCG and reciprocal rank of one relevant item, from its rank.

HR@k = [rank <= k]; NDCG@k = [rank <= k] / log2(1 + rank) (the ideal is 1); NDCG the same for every
rank; MRR = mean of 1 / rank, untruncated. Ranks are 1-based and may be halves (ties). A user's
value is the mean over its targets, so every user counts once; errors are over users.
"""

import re
from typing import Any

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


def per_user(found: NDArray[np.float64], users: NDArray[Any]) -> NDArray[np.float64]:
    """The mean over each user's targets.

    Args:
        found: float64 ``[..., targets]``, values of a metric.
        users: ``[targets]``, whose each is; those of a user stand side by side.

    Returns:
        float64 ``[..., users]``, in the same order; NaN for who has a value that is NaN.
    """
    if not len(users):
        return found
    starts = np.flatnonzero(np.concatenate(([True], users[1:] != users[:-1])))
    counts = np.diff(starts, append=len(users))
    means: NDArray[np.float64] = np.add.reduceat(found, starts, axis=-1) / counts
    return means


def summary(ranks: NDArray[np.float64], users: NDArray[Any] | None = None) -> dict[str, float]:
    """All metrics of `NAMES`, averaged over the users who have ranks; none without any.

    Args:
        ranks: float64 ``[targets]``, NaN for users who have none.
        users: see `per_user`; None if each target is another user's.
    """
    found = _known_values(ranks, users)
    return {name: float(each.mean()) for name, each in found.items() if each.size}


def standard_errors(ranks: NDArray[np.float64], users: NDArray[Any]) -> dict[str, float]:
    """Of the means of `summary`: what other users would have changed; none below two users."""
    found = _known_values(ranks, users)
    return {
        name: float(each.std(ddof=1) / np.sqrt(len(each)))
        for name, each in found.items()
        if len(each) > 1
    }


def _known_values(
    ranks: NDArray[np.float64], users: NDArray[Any] | None
) -> dict[str, NDArray[np.float64]]:
    """All metrics of the users who have ranks."""
    known = ~np.isnan(ranks)
    ranks = ranks[known]
    users = np.arange(len(ranks)) if users is None else users[known]
    return {name: per_user(values(name, ranks), users) for name in NAMES}
