"""Public item features as numbers."""

from dataclasses import replace

import torch

from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.features import MOST_VALUES, PERIODS, item_features


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


def test_without_features_there_are_no_columns() -> None:
    assert item_features(made(9)).shape == (9, 0)
