"""Declared values of profiles: sentences that follow from no user."""

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.sources.ml_100k import MovieLens100K
from ufgraphfr.data.sources.table import TableSource
from ufgraphfr.experiment.config import build
from ufgraphfr.experiment.prepare import prepare


def test_all_combinations_are_said_as_the_data_set_says_them() -> None:
    values = {"age": [8, "20"], "gender": ["female"], "occupation": ["student", "other"]}
    assert MovieLens100K(profile_values=values).every_text() == (
        "An 8-year-old woman who is a student.",
        "An 8-year-old woman in another occupation.",
        "A 20-year-old woman who is a student.",
        "A 20-year-old woman in another occupation.",
    )
    table = TableSource(interactions="x", profile_values={"town": ["Bern", "Bonn"]})
    assert table.every_text() == ("The user's town is Bern.", "The user's town is Bonn.")
    filled = TableSource(
        interactions="x", users="y", template="From {town}.", profile_values={"town": ["Bern"]}
    )
    assert filled.every_text() == ("From Bern.",)
    assert MovieLens100K().every_text() == ()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"age": [20], "gender": ["male"]}, "occupation"),
        ({"age": [20], "gender": ["M"], "occupation": ["artist"]}, "'M'"),
        ({"age": range(200), "gender": ["male"], "occupation": map(str, range(200))}, "20,000"),
    ],
)
def test_what_makes_no_sentence_is_refused(values: dict[str, object], named: str) -> None:
    lists = {name: list(own) for name, own in values.items()}  # type: ignore[call-overload]
    with pytest.raises(InputError, match=named):
        MovieLens100K(profile_values=lists).every_text()


@pytest.mark.parametrize(("declared", "sentences"), [({}, None), ({"favourite colour": 2}, 2)])
def test_only_a_budget_asks_for_them(declared: dict[str, int], sentences: int | None) -> None:
    data = {"kind": "synthetic", "users": 40}
    if declared:
        data["profile_values"] = {"favourite colour": ["red", "orange"]}
    values = {"data": data, "text": {"kind": "hashing"}}
    assert prepare(build(values)).setting.profiles is None
    private = values | {"privacy": {"kind": "central-jdp", "epsilon": 1, "delta": 1e-4}}
    found = prepare(build(private)).setting.profiles
    assert (None if found is None else len(found)) == sentences


def test_a_field_that_no_profile_has_is_refused() -> None:
    values = {"kind": "synthetic", "profile_values": {"favourite colour": ["red"], "age": [7]}}
    with pytest.raises(InputError, match=r"age: no profile of 'synthetic' has it"):
        prepare(build({"data": values, "text": {"kind": "hashing"}}))
