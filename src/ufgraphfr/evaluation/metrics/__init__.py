"""Metrics: one file each, found by name, and their means over users.

Ranks are 1-based and may be halves (ties). A user's value is the mean over its targets, so every
user counts once; errors are over users.
"""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.core.spec import Registry
from ufgraphfr.evaluation.metrics.base import JointMetric, Metric, RankMetric

METRICS: Registry[Metric] = Registry(__name__, Metric, "metric")

CUTOFFS = (5, 10, 20)
NAMES = (*(f"hr@{k}" for k in CUTOFFS), *(f"ndcg@{k}" for k in CUTOFFS), "ndcg", "mrr")
"""Computed in every evaluation, whatever else is asked for."""
COVERAGE = 10
SHOWN = ("hr@10", "ndcg@10", "mrr", f"coverage@{COVERAGE}")
"""What tables show, unless an experiment says otherwise."""
SELECTED_BY = "ndcg"
"""Picks rounds and blends on validation, in the full ranking. The untruncated NDCG hears every
user; NDCG@10 only those whose item is in the top ten, and its noise picks by chance."""


def metric(name: str) -> Metric:
    """The metric of a name: ``kind`` or ``kind@k``, with a dotted kind for one of your own.

    Raises:
        InputError: no such metric.
    """
    kind, at, cutoff = name.partition("@")
    try:
        if at and not re.fullmatch("[1-9][0-9]*", cutoff):
            raise InputError("what follows @ is a whole number from 1")
        return METRICS.build(kind, {"at": int(cutoff)} if at else {}, "it")
    except InputError as error:
        raise InputError(f"no metric '{name}' ({error}): {nearest(name, _examples())}") from None


def _examples() -> list[str]:
    """A name of each kind."""
    has_cutoff = {kind: "at" in METRICS.find(kind).model_fields for kind in METRICS.kinds}
    return [f"{kind}@10" if has else kind for kind, has in has_cutoff.items()]


def with_defaults(names: Iterable[str] = ()) -> tuple[Metric, ...]:
    """`NAMES` and coverage, then the others of these, each once.

    Raises:
        InputError: no such metric.
    """
    found = [metric(name) for name in (*NAMES, f"coverage@{COVERAGE}", *names)]
    return tuple({each.name: each for each in found}.values())


def ranked(metrics: Iterable[Metric]) -> list[RankMetric]:
    """Those that are means over users."""
    return [each for each in metrics if isinstance(each, RankMetric)]


def is_ranked(name: str) -> bool:
    """Whether it names a metric of ranks, which every ranking has; not if it cannot be found."""
    try:
        return isinstance(metric(name), RankMetric)
    except InputError:
        return False


def values(
    name: str | RankMetric,
    ranks: NDArray[np.float64],
    candidates: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """A metric before its mean is taken.

    Args:
        name: of a metric of ranks, or the metric.
        ranks: float64, any shape; NaN where there is no rank.
        candidates: see `RankMetric.values`; None for a metric that does not ask.

    Returns:
        float64 of the same shape, each in [0, 1], or NaN where there is no rank.

    Raises:
        InputError: no such metric, or not one of ranks.
    """
    found = metric(name) if isinstance(name, str) else name
    if not isinstance(found, RankMetric):
        raise InputError(f"metric '{found.name}' is not made of ranks")
    asked = np.ones_like(ranks, np.int64) if candidates is None else candidates
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isnan(ranks), np.nan, found.values(ranks, asked))


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


def user_values(
    metric: RankMetric,
    ranks: NDArray[np.float64],
    users: NDArray[Any],
    candidates: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """A metric of each user, float64 ``[..., users]``; see `values` and `per_user`."""
    if not isinstance(metric, JointMetric):
        return per_user(values(metric, ranks, candidates), users)
    found = per_user(values(metric, joint_ranks(ranks, users), candidates), users)
    counts = np.unique(users, return_counts=True)[1]
    return found * counts / metric.ideal(counts)


def joint_ranks(ranks: NDArray[np.float64], users: NDArray[Any]) -> NDArray[np.float64]:
    """Ranks among all candidates, from ranks without the user's other targets.

    Targets of one rank have no other candidate between them: one follows the other, and which is
    first changes no sum over them.

    Args:
        ranks: float64 ``[..., targets]``.
        users: ``[targets]``, whose each is, ascending.
    """
    order = np.lexsort((ranks, np.broadcast_to(users, ranks.shape)), axis=-1)
    before = np.arange(len(users)) - np.searchsorted(users, users)
    joint = np.empty_like(ranks)
    np.put_along_axis(joint, order, np.take_along_axis(ranks, order, -1) + before, -1)
    return joint


def summary(
    ranks: NDArray[np.float64],
    users: NDArray[Any] | None = None,
    metrics: Iterable[Metric] | None = None,
    candidates: NDArray[np.int64] | None = None,
) -> dict[str, float]:
    """Metrics averaged over the users who have ranks; none without any.

    Args:
        ranks: float64 ``[targets]``, NaN for users who have none.
        users: see `per_user`; None if each target is another user's.
        metrics: those of ranks among them; None for `NAMES`.
        candidates: int64 ``[targets]``, see `values`.
    """
    found = _known_values(ranks, users, metrics, candidates)
    return {name: float(each.mean()) for name, each in found.items() if each.size}


def standard_errors(
    ranks: NDArray[np.float64],
    users: NDArray[Any],
    metrics: Iterable[Metric] | None = None,
    candidates: NDArray[np.int64] | None = None,
) -> dict[str, float]:
    """Of the means of `summary`: what other users would have changed; none below two users."""
    found = _known_values(ranks, users, metrics, candidates)
    return {
        name: float(each.std(ddof=1) / np.sqrt(len(each)))
        for name, each in found.items()
        if len(each) > 1
    }


def _known_values(
    ranks: NDArray[np.float64],
    users: NDArray[Any] | None,
    metrics: Iterable[Metric] | None,
    candidates: NDArray[np.int64] | None,
) -> dict[str, NDArray[np.float64]]:
    """Each metric of the users who have ranks."""
    known = ~np.isnan(ranks)
    ranks = ranks[known]
    users = np.arange(len(ranks)) if users is None else users[known]
    candidates = None if candidates is None else candidates[known]
    return {
        each.name: user_values(each, ranks, users, candidates)
        for each in ranked(with_defaults() if metrics is None else metrics)
    }
