"""Synthetic data has what was planted, and nothing else."""

import numpy as np
import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.data.sources.synthetic import colour


def load(**settings) -> Dataset:
    return SOURCES.build("synthetic", settings, "[data]").load()


def own_share(data: Dataset, groups: int) -> float:
    return float((data.interactions.user % groups == data.interactions.item % groups).mean())


def test_without_noise_everybody_likes_the_own_group():
    assert own_share(load(noise=0.0), 4) == 1.0


def test_noise_is_the_share_of_other_groups():
    assert own_share(load(users=2000, noise=0.3), 4) == pytest.approx(0.7, abs=0.01)


def test_full_groups_are_the_checkerboard():
    """All of the own colour and nothing else: the last item is the only one that is missing."""
    data = load(users=10, items=12, groups=2, interactions=6, noise=0.0).interactions
    for user in range(10):
        assert sorted(data.item[data.user == user]) == list(range(user % 2, 12, 2))
    assert len(np.unique(data.item[data.timestamp == 5])) > 2


def test_a_chain_walks_in_order():
    data = load(order="chain", noise=0.0)
    steps = data.interactions.item.reshape(200, 20) // 4
    assert (np.diff(steps, axis=1) % 30 == 1).all()
    assert len(np.unique(steps[:, 0])) > 20


def test_items_are_uniform_within_the_group():
    data = load(users=4000, items=40, interactions=5, noise=0.0)
    counts = np.bincount(data.interactions.item, minlength=40)
    expected = 4000 * 5 / 40
    assert ((counts - expected) ** 2 / expected).sum() < 40 + 5 * np.sqrt(2 * 40)


def test_texts_name_the_group_as_often_as_asked():
    data = load(users=2000, profile_accuracy=0.8)
    told = [
        profile["favourite colour"] == colour(u % 4)
        for u, profile in enumerate(data.users.profiles)
    ]
    assert np.mean(told) == pytest.approx(0.8, abs=0.03)
    assert all(
        profile["favourite colour"] in text
        for profile, text in zip(data.users.profiles, data.users.texts, strict=True)
    )


def test_the_seed_decides():
    assert load(seed=1).sha256 == load(seed=1).sha256 != load(seed=2).sha256


def test_colours_are_distinct():
    assert len({colour(group) for group in range(1000)}) == 1000


def test_one_group():
    data = load(groups=1, noise=0.0, profile_accuracy=0.5)
    assert set(data.users.texts) == {"A person whose favourite colour is red."}


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"items": 121}, "multiple of groups"),
        ({"interactions": 31}, "at most items // groups = 30"),
        ({"groups": 1, "items": 20}, "noise needs a second group"),
        (
            {"popularity": 1, "items": 20, "interactions": 3},
            "groups of 6 items or more: set items to 24",
        ),
        ({"noise": 1.5}, "less than or equal to 1"),
    ],
)
def test_impossible_settings_are_refused(settings, rule):
    with pytest.raises(InputError, match=rule):
        load(**settings)


def tailed(**settings) -> Dataset:
    return load(
        **{"users": 3000, "items": 400, "popularity": 1.0, "interactions": 20, "noise": 0.2}
        | settings
    )


def test_popular_items_are_drawn_as_often_as_their_rank_says():
    """The first item of a user is one draw; items i and i + groups follow each other in rank."""
    rows = tailed(users=20_000, interactions=3, spread=0, noise=0).interactions
    first = rows.item[::3] // 4
    chance = 1 / np.arange(1, 101)
    expected = 20_000 * chance / chance.sum()
    found = np.bincount(first, minlength=100)
    assert ((found - expected) ** 2 / expected).sum() < 100 + 5 * np.sqrt(2 * 100)


def test_users_with_a_tail_have_distinct_items_and_different_many():
    data = tailed()
    rows = data.interactions
    counts = np.bincount(rows.user)
    assert len(np.unique(rows.user * 400 + rows.item.astype(np.int64))) == len(rows)
    assert counts.mean() == pytest.approx(20, rel=0.1)
    assert counts.std() > 8
    assert counts.min() >= 3
    few_repeats = tailed(items=40_000, interactions=3, spread=0)
    assert own_share(few_repeats, 4) == pytest.approx(0.8, abs=0.02)
    assert (np.diff(rows.user) >= 0).all()


def test_a_chain_with_a_tail_walks_one_order():
    """Whoever has two items has them in the same direction, but for where the walk started."""
    rows = tailed(order="chain", groups=1, noise=0, spread=0).interactions
    follows = np.zeros((400, 400), int)
    for own in rows.item.reshape(3000, 20):
        np.add.at(follows, (own[:-1], own[1:]), 1)
    both = follows + follows.T
    often = both >= 10
    assert often.any()
    assert (np.maximum(follows, follows.T)[often] / both[often]).mean() > 0.9


@pytest.mark.slow
def test_a_block_is_the_same_whatever_comes_after_it():
    few, many = (tailed(users=users).interactions for users in (60_000, 110_000))
    # 2^20 interactions are made at once: 52,428 users
    first = slice(0, int((few.user < 52_428).sum()))
    assert np.array_equal(few.item[first], many.item[first])


def test_the_seed_decides_a_tail_too():
    assert tailed(seed=1).sha256 == tailed(seed=1).sha256 != tailed(seed=2).sha256


def test_settings_without_a_tail_name_the_same_people_as_before():
    """What a tail needs is no part of the origin of data without one."""
    assert "popularity" not in SOURCES.build("synthetic", {}, "[data]").origin
    assert '"popularity":1.0' in SOURCES.build("synthetic", {"popularity": 1.0}, "[data]").origin
