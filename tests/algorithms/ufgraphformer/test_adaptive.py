"""The flagship's rule: what follows from how many users, items and interactions there are."""

from typing import Any

import pytest

from ufgraphfr.algorithms.ufgraphformer.adaptive import KEYS, MOST_ROUNDS
from ufgraphfr.algorithms.ufgraphformer.model import UFGraphFormer
from ufgraphfr.core.derived import DataFacts, Derived

GIVEN = {"algorithm.transformer": True, "algorithm.graph.rounds": 8}
SIZES = {
    "one user": DataFacts(1, 40, 8),
    "a club": DataFacts(30, 40, 240),
    "small": DataFacts(943, 1_682, 100_000),
    "wide": DataFacts(1_484, 12_391, 70_500),
    "large": DataFacts(6_040, 3_416, 999_611),
    "sparse": DataFacts(22_363, 12_101, 198_502),
    "huge": DataFacts(10_000_000, 1_000_000, 10**9),
}


def derived(facts: DataFacts, **given: Any) -> dict[str, Derived]:
    changes = {key.replace("__", "."): value for key, value in given.items()}
    return {each.key: each for each in UFGraphFormer().derive(facts, GIVEN | changes)}


@pytest.mark.parametrize("size", SIZES)
def test_every_key_follows_and_says_why(size: str) -> None:
    facts = SIZES[size]
    found = derived(facts)
    assert found.keys() == KEYS
    assert all(each.why for each in found.values())
    assert 1 <= found["federation.cohort"].value <= min(64, facts.users)
    assert 8 < found["federation.rounds"].value <= 8 + MOST_ROUNDS
    assert 1 <= found["evaluation.every"].value <= found["federation.rounds"].value


def test_rounds_grow_with_the_users_until_there_are_enough() -> None:
    sizes = ("small", "large", "sparse")
    rounds = [derived(SIZES[size])["federation.rounds"].value for size in sizes]
    assert rounds == [8 + 295, 8 + 1888, 8 + MOST_ROUNDS]
    assert "instead of 20" in derived(SIZES["sparse"])["federation.rounds"].why


def test_rounds_are_for_the_cohort_that_is_set() -> None:
    few = derived(SIZES["small"], federation__cohort=16.0)
    assert "federation.cohort" not in few
    assert few["federation.rounds"].value == 8 + 1179


def test_without_a_transformer_the_graph_is_all_there_is_to_train() -> None:
    assert derived(SIZES["small"], algorithm__transformer=False)["federation.rounds"].value == 8
