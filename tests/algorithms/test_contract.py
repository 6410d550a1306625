"""What every algorithm owes, whoever wrote it: each new file in algorithms/ is tested here too."""

from collections.abc import Callable
from typing import Any

import pytest

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.testing import ALGORITHM_CONTRACTS, SmallFederation, checkerboard
from ufgraphfr.testing.algorithms import (
    draws_from_its_seed,
    keeps_to_itself,
    learns_the_checkerboard,
)

ALONE = {"local-only"}
"""Who shares nothing cannot know that an item it never saw is of its own colour."""
CROWDS = {"fedncf", "fedpergnn"}
"""Whose defaults suit hundreds of users: on 24 the shared MLP of the one dies after some 50 rounds,
and the other's noise, which a mean over 24 hardly lowers, drowns what there is to learn."""
SPARSE = {"dense_items": 1, "neighbors": 12}
STEPS: dict[str, Any] = {"training": {"local_steps": 3}}
OTHERS: dict[str, list[dict[str, Any]]] = {
    "fedmf": [{"local_epochs": 2}],
    "fedncf": [{"lr": 0.2}],
    "fedpergnn": [{"laplace": 0.0, "pseudo_items": 10}],
    "lightgcn": [{"hops": 0}, {"hops": 2, "operator": {"rounds": 2}}],
    "graph-filter": [{"operator": {"rounds": 3}, "rank": 2, "sharpening": 0.2}],
    "graph-filter-fusion": [{"operator": {"rounds": 3}, "ranks": (2,), "weights": (1,) * 7}],
    "gpfedrec": [{"evaluated_table": "local"}],
    "pfedrec": [{"evaluated_table": "received"}],
    "ufgraphfr": [
        {"as_coded": True},
        {"evaluated_table": "local", "graph_every": 2, "hops": 2},
        {"local_epochs": 2, "scoring": "product"},
    ],
    "ufgraphformer": [
        STEPS,
        {"training": {"candidates": 12, "weighting": "clients"}},
        {"lightgcn": True},
        {"graph": SPARSE},
        {"graph": False},
        {"transformer": False},
        {"cold_items": {}, "cold_users": False, "head": False},
    ],
}
"""Configurations beside the defaults, by kind."""
CONFIGURED = [(kind, keys) for kind in ALGORITHMS.kinds for keys in [{}, *OTHERS.get(kind, [])]]
DRAWLESS = {"graph-filter", "graph-filter-fusion"}
"""Who sums and draws nothing."""
UNTAUGHT: list[dict[str, Any]] = [{"as_coded": True}, {"graph": False}, STEPS]
"""Configurations that 100 rounds do not teach the board, or take too long to."""
UNDRAWN: dict[str, Any] = {"transformer": False}
"""Counts and closed forms, which draw nothing."""


def built(kind: str, keys: dict[str, Any]) -> Algorithm:
    return ALGORITHMS.build(kind, keys, "[algorithm]")


@pytest.fixture(params=CONFIGURED, ids=lambda each: f"{each[0]} {each[1] or ''}")
def algorithm(request: pytest.FixtureRequest) -> Algorithm:
    return built(*request.param)


@pytest.mark.parametrize("contract", ALGORITHM_CONTRACTS, ids=lambda each: each.__name__)
def test_contract(contract: Callable[[Algorithm], None], algorithm: Algorithm) -> None:
    contract(algorithm)


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        # the defaults are enough for every day; each takes seconds
        pytest.param(kind, keys, marks=[pytest.mark.slow] if keys else [])
        for kind, keys in CONFIGURED
        if keys not in UNTAUGHT
    ],
    ids=str,
)
def test_it_learns_the_checkerboard(kind: str, keys: dict[str, Any]) -> None:
    learns = keeps_to_itself if kind in ALONE else learns_the_checkerboard
    if kind in CROWDS and not keys:
        with pytest.raises(AssertionError, match="it does not learn"):
            learns(built(kind, keys))
    else:
        learns(built(kind, keys))


@pytest.mark.parametrize(
    ("kind", "keys"),
    [each for each in CONFIGURED if each[1] != UNDRAWN and each[0] not in DRAWLESS],
    ids=str,
)
def test_another_seed_is_another_run(kind: str, keys: dict[str, Any]) -> None:
    draws_from_its_seed(built(kind, keys))


def test_the_flagship_sends_features_and_graph_once() -> None:
    federation = SmallFederation.of(built("ufgraphformer", {}), checkerboard())
    assert {"features", "graph.counts"} <= federation.cacheable(12).keys()
