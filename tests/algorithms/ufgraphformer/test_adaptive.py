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


def test_lightgcn_is_trained_where_there_are_counts_and_rounds_and_not_too_many_items() -> None:
    assert derived(SIZES["small"])["algorithm.lightgcn"].value is True
    assert derived(SIZES["wide"])["algorithm.lightgcn"].value is False
    assert "algorithm.lightgcn" not in derived(SIZES["small"], algorithm__transformer=False)
    alone = UFGraphFormer().derive(SIZES["small"], {"algorithm.transformer": True})
    assert "algorithm.lightgcn" not in {each.key for each in alone}


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
    assert "at most 2,000 rounds" in derived(SIZES["sparse"])["federation.rounds"].why


@pytest.mark.parametrize(
    ("size", "dim", "lr", "dropout", "candidates", "validations"),
    [
        ("small", 64, 0.00077, 0.4, None, 4),
        ("wide", 64, 0.00096, 0.5, 1_000, 4),
        ("large", 128, 0.00194, 0.3, 1_000, 4),
        ("sparse", 64, 0.002, 0.5, 1_000, 1),
    ],
)
def test_the_transformer_is_as_wide_and_as_careful_as_the_data_allow(
    size: str, dim: int, lr: float, dropout: float, candidates: int | None, validations: int
) -> None:
    found = derived(SIZES[size])
    assert found["algorithm.dim"].value == dim
    assert found["algorithm.hidden"].value == 2 * dim
    assert found["algorithm.adam.lr"].value == pytest.approx(lr)
    assert found["algorithm.training.dropout"].value == dropout
    assert found["algorithm.training.candidates"].value == candidates
    rounds, every = (found[key].value for key in ("federation.rounds", "evaluation.every"))
    assert -(-rounds // every) == validations


def test_what_follows_follows_from_what_is_set() -> None:
    found = derived(SIZES["small"], algorithm__dim=32, federation__rounds=8 + 500)
    assert not {"algorithm.dim", "federation.rounds"} & found.keys()
    assert found["algorithm.hidden"].value == 64
    assert found["algorithm.adam.lr"].value == pytest.approx(1e-3)
    assert found["algorithm.training.dropout"].value == 0.3


def test_the_form_of_the_graph_is_told() -> None:
    told = {size: derived(SIZES[size])["algorithm.graph.dense_items"].why for size in SIZES}
    assert "dense graph" in told["small"]
    assert told["sparse"] == "12,101 items have a sparse graph; 3.5 GB if dense"


def test_the_more_items_the_heavier_the_tails_of_what_is_fused() -> None:
    told = {size: derived(SIZES[size])["algorithm.squash"] for size in ("large", "sparse")}
    assert [each.value for each in told.values()] == ["log", "root"]
    assert "12,101 items; above 5,000" in told["sparse"].why


def test_weights_bend_where_times_are_dates() -> None:
    for dated in (True, False):
        found = derived(DataFacts(1_000, 1_000, 10_000, dated=dated))["algorithm.absence"]
        assert found.value is dated
        assert "dates" in found.why
    assert derived(SIZES["small"])["algorithm.history_length"].value is True


def test_a_guess_of_the_interactions_is_told() -> None:
    guess = DataFacts(100, 300, 4_000, assumed=True)
    assert "40 a user assumed" in derived(guess)["algorithm.dim"].why


def test_rounds_are_for_the_cohort_that_is_set() -> None:
    few = derived(SIZES["small"], federation__cohort=16.0)
    assert "federation.cohort" not in few
    assert few["federation.rounds"].value == 8 + 1179


def test_without_a_transformer_the_graph_is_all_there_is_to_train() -> None:
    assert derived(SIZES["small"], algorithm__transformer=False)["federation.rounds"].value == 8
    assert "algorithm.dim" not in derived(SIZES["small"], algorithm__transformer=False)
