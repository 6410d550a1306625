"""What every metric owes: a value of each target alone, or of lists whoever the items are."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.evaluation.metrics.base import ListMetric, Metric, RankMetric, TopLists
from ufgraphfr.testing.contracts import (
    DEFAULTS,
    Settings,
    check,
    configured,
    require,
    survives_a_round_trip,
)

CANDIDATES = 100
RANKS = np.concatenate((np.arange(1.0, CANDIDATES + 1), [1.5, 10.5]))
LISTS = TopLists(
    listed=np.array([9, 0, 3, 1, 0, 5, 2]), known=np.array([10, 0, 4, 1, 2, 8, 1]), users=10
)


def check_metric(spec: type[Metric], configurations: Settings = DEFAULTS) -> None:
    """Hold a metric to its contracts.

    Args:
        spec: the class, derived from `RankMetric` or `ListMetric`.
        configurations: its keys, one dict for each check: ``[{"at": 10}]`` for ``kind@10``.

    Raises:
        AssertionError: a contract is broken.
        InputError: a configuration is wrong.
    """
    for metric, name in configured(spec, configurations):
        check(metric, METRIC_CONTRACTS, name)


def is_of_ranks_or_lists(metric: Metric) -> None:
    """Nothing else is computed."""
    known = isinstance(metric, RankMetric | ListMetric)
    require(known, "it derives from neither RankMetric nor ListMetric")


def lies_between_0_and_1(metric: Metric) -> None:
    """A node's sum over users is at most how many they are; other figures are finite."""
    if isinstance(metric, RankMetric):
        found = _values(metric, RANKS)
        require(found.shape == RANKS.shape, f"values of shape {found.shape}")
        inside = bool(((found >= 0) & (found <= 1)).all())
        require(inside, "a value of a rank is not in [0, 1]")
    if isinstance(metric, ListMetric):
        nothing = TopLists(np.zeros(7, np.int64), np.zeros(7, np.int64), 0)
        finite = all(np.isfinite(metric.value(lists)) for lists in (LISTS, nothing))
        require(finite, "it is not a finite number, perhaps where nothing is listed")


def never_gains_from_a_worse_rank(metric: Metric) -> None:
    """A target further down has no larger value."""
    if isinstance(metric, RankMetric):
        found = _values(metric, np.sort(RANKS))
        require(bool((np.diff(found) <= 0).all()), "a worse rank has a larger value")


def values_each_target_alone(metric: Metric) -> None:
    """A target's value does not depend on those beside it, nor a figure on the items' order."""
    order = np.random.default_rng(0).permutation(len(RANKS))
    if isinstance(metric, RankMetric):
        apart = np.array([_values(metric, RANKS[[place]])[0] for place in order])
        same = np.allclose(_values(metric, RANKS)[order], apart)
        require(same, "a target's value depends on other targets")
    if isinstance(metric, ListMetric):
        items = order[order < len(LISTS.listed)]
        other = TopLists(LISTS.listed[items], LISTS.known[items], LISTS.users)
        close = np.isclose(metric.value(LISTS), metric.value(other))
        require(bool(close), "it depends on how items are numbered")


def leaves_alone_what_it_is_handed(metric: Metric) -> None:
    """Nothing is changed in place."""
    before = RANKS.copy(), LISTS.listed.copy(), LISTS.known.copy()
    if isinstance(metric, RankMetric):
        _values(metric, RANKS)
    if isinstance(metric, ListMetric):
        metric.value(LISTS)
    after = RANKS, LISTS.listed, LISTS.known
    same = all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    require(same, "it changes what it is handed")


def _values(metric: RankMetric, ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    return metric.values(ranks, np.full(ranks.shape, CANDIDATES))


METRIC_CONTRACTS: tuple[Callable[[Metric], None], ...] = (
    is_of_ranks_or_lists,
    lies_between_0_and_1,
    never_gains_from_a_worse_rank,
    values_each_target_alone,
    leaves_alone_what_it_is_handed,
    survives_a_round_trip,
)
