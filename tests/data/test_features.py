"""Public item features as numbers."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.features import HASHED, MOST_VALUES, PERIODS, item_features, kind_of


def made(items: int) -> Catalogue:
    """Items without features."""
    names = tuple(map(str, range(items)))
    return Catalogue(names, names)


def test_genres_and_years_become_columns() -> None:
    genres = (("Drama",), ("Drama", "War"), (), ("Western",))
    years = (("1990",), ("1991",), ("2000",), ())
    data = replace(made(4), features={"genre": genres, "year": years})
    features = item_features(data)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(4))
    hot = features > 0
    # Drama is the most frequent genre; War before Western by name
    assert hot[:, :3].tolist() == [
        [True, False, False],
        [True, True, False],
        [False, False, False],
        [False, False, True],
    ]
    periods = hot[:, 3:]
    assert periods.sum(1).tolist() == [1, 1, 1, 0]
    assert not bool((periods[0] & periods[2]).any())


def test_many_years_are_a_few_equal_intervals() -> None:
    years = tuple((str(1900 + place),) for place in range(100))
    features = item_features(replace(made(100), features={"year": years}))
    assert features.shape == (100, PERIODS)
    assert features.sum(0).tolist() == [10.0] * PERIODS


def test_rare_values_have_no_column() -> None:
    tags = tuple((f"tag{place}", "common") for place in range(100))
    features = item_features(replace(made(100), features={"tag": tags}))
    assert features.shape == (100, MOST_VALUES)
    assert bool((features[:, 0] > 0).all())


def test_a_label_that_names_its_item_is_no_feature_and_that_is_told(caplog: Any) -> None:
    addresses = tuple((f"https://example.org/{max(place, 4)}",) for place in range(100))
    shelves = tuple((f"shelf {place // 2}",) for place in range(100))
    found = item_features(replace(made(100), features={"url": addresses, "shelf": shelves}))
    # four in a hundred could have one by mistake, five share theirs here
    assert found.shape == (100, 50 + MOST_VALUES)
    addresses = tuple((f"https://example.org/{max(place, 3)}",) for place in range(100))
    found = item_features(replace(made(100), features={"url": addresses, "shelf": shelves}))
    assert found.shape == (100, 50)
    assert (
        "'url' is left out: only 4 of 100 items have one of its 97 labels in common" in caplog.text
    )


def test_without_features_there_are_no_columns() -> None:
    assert item_features(made(9)).shape == (9, 0)


def test_codes_of_several_values_are_labels_as_names_are() -> None:
    codes = (("28", "12"), ("12", "28"), ("18",), ("35", "18"))
    names = tuple(tuple(f"g{code}" for code in own) for own in codes)
    by_code, by_name = (
        item_features(replace(made(4), features={"genre": own})) for own in (codes, names)
    )
    torch.testing.assert_close(by_code @ by_code.T, by_name @ by_name.T)
    assert float(by_code[0] @ by_code[1]) == pytest.approx(1)


@pytest.mark.parametrize("odd", ["free", "1_000", "inf"])
def test_an_odd_value_among_numbers_is_missing_and_told(odd: str, caplog: Any) -> None:
    prices = (*((str(place / 7),) for place in range(200)), (odd,))
    features = item_features(replace(made(201), features={"price": prices}))
    assert features.shape == (201, PERIODS)
    assert features.sum(1).tolist() == [1.0] * 200 + [0.0]
    assert f"1 of its values are not (such as '{odd}')" in caplog.text


@pytest.mark.parametrize("gap", ["-", "NaN", "N/A", "\\N", ""])
def test_a_gap_is_no_value_of_a_number_or_a_label(gap: str, caplog: Any) -> None:
    prices = (*((str(place / 7),) for place in range(200)), (gap,))
    colours = (*(("red",) for _ in range(200)), (gap,))
    features = item_features(replace(made(201), features={"colour": colours, "price": prices}))
    assert features.shape == (201, 1 + PERIODS)
    assert not features[200].any()
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("year", [str(1900 + place) for place in range(100)], "number"),
        ("zip", [str(10_000 + place) for place in range(100)], "label"),
        ("category_id", [str(place % 40) for place in range(100)], "label"),
        ("plot", [f"{place:05}" for place in range(100)], "label"),
        ("stars", [str(place % 5) for place in range(100)], "label"),
        ("width", [f"{place % 5}.5" for place in range(100)], "number"),
        ("mixed", ["a", "b", *map(str, range(20))], "label"),
        ("paid", list(map(str, range(100))), "number"),
    ],
)
def test_the_kind_follows_from_values_and_name(name: str, values: list[str], kind: str) -> None:
    assert kind_of(name, [(value,) for value in values]) == kind


def test_what_was_said_overrides_what_is_seen() -> None:
    values = tuple((str(place % 40),) for place in range(80))
    for kind, width in (("label", 40), ("number", PERIODS), ("text", 0)):
        said = replace(made(80), features={"shelf": values}, kinds={"shelf": kind})
        assert item_features(said).shape == (80, width)


def test_labels_beyond_the_most_frequent_share_columns_and_are_told(caplog: Any) -> None:
    frequent = [(f"f{place:02}",) for place in range(MOST_VALUES) for _ in range(3)]
    shared = [(f"s{place}",) for place in range(300) for _ in range(2)]
    values = (*frequent, *shared, ("alone",))
    features = item_features(replace(made(len(values)), features={"author": values}))
    assert features.shape == (len(values), MOST_VALUES + HASHED)
    first = features[len(frequent) : -1]
    # two items of one author are alike; others are so by chance, with either sign
    alike = first[::2] @ first[1::2].T
    torch.testing.assert_close(alike.diagonal(), torch.ones(300))
    assert abs(float(alike.fill_diagonal_(0).mean())) < 0.01
    assert not features[-1].any()
    assert "300 share 64 columns, and 1 that only one item has are left out" in caplog.text
