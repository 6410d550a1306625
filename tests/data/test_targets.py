"""Several targets of each user: which they are, who has fewer, and that one is as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ufgraphfr.data.client_batches import build
from ufgraphfr.data.global_time import global_time
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.split import HeldOut, Split, leave_one_out
from ufgraphfr.data.unasked import told, unasked

LENGTHS = (3, 4, 6, 7, 40)
ITEMS = 300


def rows(*lengths: int, items: int = ITEMS) -> Interactions:
    """User u has so many items, at the times 0, 1, 2 and so on; items are 7 apart."""
    user = np.repeat(np.arange(len(lengths)), lengths)
    time = np.concatenate([np.arange(length) for length in lengths])
    return Interactions(user, (user + 7 * time) % items, time, len(lengths), items, name="made")


def own(split: Split, user: int, part: HeldOut) -> list[int]:
    (place,) = np.flatnonzero(split.asked(part) == user)
    targets = split.targets(part)[place]
    return [int(item) for item in targets if item >= 0]


@pytest.mark.parametrize(("user", "each"), [(0, 1), (1, 1), (2, 2), (3, 3), (4, 3)])
def test_the_last_are_the_test_and_those_before_the_validation(user: int, each: int) -> None:
    split = leave_one_out(rows(*LENGTHS), targets=3)
    history = split.history[split.history_ptr[user] : split.history_ptr[user + 1]].tolist()
    train = split.train[split.ptr[user] : split.ptr[user + 1]].tolist()
    assert [*train, *own(split, user, "validation"), *own(split, user, "test")] == history
    assert len(own(split, user, "validation")) == len(own(split, user, "test")) == each
    assert split.known[user] == len(train) + each
    assert len(train) >= 1


def test_who_has_too_few_is_counted() -> None:
    split = leave_one_out(rows(*LENGTHS), targets=3)
    assert unasked(split) == {"targets": 3}
    assert told(split) == ["3 users of 5 in the test: too few interactions for 3 targets"]
    assert unasked(leave_one_out(rows(*LENGTHS))) == {}


def test_one_target_is_the_first_of_one() -> None:
    data = rows(*LENGTHS)
    split = leave_one_out(data)
    for part, targets in (("validation", split.validation), ("test", split.test)):
        assert split.targets(part).tolist() == targets[split.asked(part)][:, None].tolist()


def test_the_same_candidates_serve_all_targets() -> None:
    one, several = leave_one_out(rows(*LENGTHS)), leave_one_out(rows(*LENGTHS), targets=3)
    assert np.array_equal(one.sampled["test"], several.sampled["test"])
    for user in range(len(LENGTHS)):
        touched = several.history[several.history_ptr[user] : several.history_ptr[user + 1]]
        assert not np.isin(several.sampled["validation"][user], touched).any()


def test_where_nothing_but_targets_is_left_nobody_is_asked() -> None:
    split = leave_one_out(rows(9, 8, items=9), targets=3)
    assert split.asked("validation").tolist() == [0, 1]
    assert split.asked("test").tolist() == [1]
    assert unasked(split)["test"] == 1


def test_kept_out_users_and_items_stay_as_they_are() -> None:
    lengths = (30,) * 20
    one = leave_one_out(rows(*lengths), 0.25, 0.1)
    several = leave_one_out(rows(*lengths), 0.25, 0.1, targets=4)
    for name in ("cold_users", "first_items", "cold_items", "cold_item_history", "history"):
        assert np.array_equal(vars(one)[name], vars(several)[name]), name
    assert not np.isin(several.asked("test"), several.cold_users).any()
    assert not np.isin(several.targets("test"), several.cold_items).any()


def test_a_shard_splits_its_users_as_a_simulation_does() -> None:
    data = rows(*LENGTHS)
    whole = leave_one_out(data, targets=3)
    chosen = np.array([1, 4])
    mask = np.isin(data.user, chosen)
    assert data.timestamp is not None
    some = Interactions(
        np.searchsorted(chosen, data.user[mask]), data.item[mask], data.timestamp[mask], 2, ITEMS
    )
    part = leave_one_out(some, user_ids=chosen, targets=3)
    assert np.array_equal(part.targets("test"), whole.targets("test")[chosen])
    assert np.array_equal(part.sampled["test"], whole.sampled["test"][chosen])


def test_global_time_asks_for_the_first_after_each_date() -> None:
    made = rows(*[20] * 10)
    assert made.timestamp is not None
    # user u begins at time u
    data = replace(made, timestamp=made.timestamp + made.user)
    split = global_time(data, 0.5, 0.75, targets=3)
    for user in range(10):
        history = split.history[split.history_ptr[user] : split.history_ptr[user + 1]].tolist()
        trained, known = int(np.diff(split.ptr)[user]), int(split.known[user])
        assert own(split, user, "validation") == history[trained : min(trained + 3, known)]
        assert own(split, user, "test") == history[known : known + 3]
    late = global_time(data, 0.5, 0.95, targets=3)
    assert set(late.test_targets.tolist()) == {0, 1, 2, 3}
    assert unasked(late) == {
        "targets": int(((late.test_targets > 0) & (late.test_targets < 3)).sum())
    }


def test_leaky_negatives_spare_all_targets() -> None:
    split = leave_one_out(rows(*LENGTHS), targets=3)
    batch = build(split, torch.empty(len(LENGTHS), 0), "legacy-leaky")
    for user in range(len(LENGTHS)):
        spared = batch.excluded[batch.excluded_ptr[user] : batch.excluded_ptr[user + 1]].tolist()
        first, last = split.history_ptr[user : user + 2]
        assert spared == sorted(split.history[first:last].tolist())
