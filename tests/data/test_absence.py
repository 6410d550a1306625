"""How long users were away, from times that are dates."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ufgraphfr.data.absence import last_seen, second, seconds_between
from ufgraphfr.data.global_time import global_time
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.split import leave_one_out

BEGAN = 1_600_000_000
ROWS = np.array(
    [(0, 0, 0), (0, 1, 50), (0, 2, 60), (0, 3, 7_260), (2, 3, 10), (2, 0, 20), (2, 2, 9)]
)


def interactions(unit: int = 1, **changed: Any) -> Interactions:
    user, item, seconds = ROWS[::-1].T
    plain = Interactions(user, item, (BEGAN + seconds) * unit, n_users=3, n_items=5)
    return replace(plain, **changed)


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000])
def test_each_user_was_away_since_the_item_before(unit: int) -> None:
    data = interactions(unit)
    assert second(data) == unit
    split = leave_one_out(data)
    validation, test = split.away("validation"), split.away("test")
    assert validation is not None
    assert test is not None
    assert validation.tolist() == [10, 1]
    assert test.tolist() == [7_200, 10]
    seen = last_seen(data)
    assert seen is not None
    assert seen.tolist() == [BEGAN + 7_260, np.inf, BEGAN + 20]


@pytest.mark.parametrize(
    "changed",
    [
        {"timestamp": None},
        {"timestamp": ROWS[::-1, 2]},
        {"sequential": False},
    ],
)
def test_without_dates_nobody_knows(changed: dict[str, Any]) -> None:
    data = interactions(**changed)
    assert second(data) is None
    assert last_seen(data) is None
    assert leave_one_out(data).away("test") is None


def test_no_time_runs_backwards() -> None:
    users, first, then = np.array([0, 2]), np.array([3, 0]), np.array([1, 2])
    found = seconds_between(interactions(), users, first, then)
    assert found is not None
    assert found.tolist() == [0, 0]


def test_under_global_time_too() -> None:
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(30), 20)
    item = np.concatenate([rng.permutation(50)[:20] for _ in range(30)])
    stamp = BEGAN + rng.permutation(600) * 100
    data = Interactions(user, item, stamp, n_users=30, n_items=50)
    split = global_time(data, targets=2)
    away = split.away("test")
    assert away is not None
    for place, who in enumerate(split.asked("test").tolist()):
        own = np.sort(stamp[user == who])
        known = split.known[who]
        assert away[place] == own[known] - own[known - 1]
