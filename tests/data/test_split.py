"""Leave-one-out and global time: time order, ties, cold users, and the sampled candidates."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.global_time import global_time
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.protocol_draws import SAMPLED
from ufgraphfr.data.split import leave_one_out
from ufgraphfr.data.unasked import told, unasked


def made(
    rows: list[tuple[int, int, int]], users: int, items: int, sequential: bool = True
) -> Interactions:
    """Rows are (user, item, timestamp) in file order."""
    user, item, timestamp = np.array(rows).T
    return Interactions(user, item, timestamp, users, items, sequential, "made")


def generated(users: int = 60, items: int = 300, sequential: bool = True) -> Interactions:
    """3 to 60 distinct items a user, few distinct timestamps, rows of all users shuffled."""
    rng = np.random.default_rng(0)
    rows = [
        (user, int(item), int(rng.integers(0, 8)))
        for user in range(users)
        for item in rng.permutation(items)[: rng.integers(3, 61)]
    ]
    return made([rows[i] for i in rng.permutation(len(rows))], users, items, sequential)


def history(data: Interactions, user: int) -> list[int]:
    """Stable sort by timestamp, the slow way."""
    own = [row for row in range(len(data.user)) if data.user[row] == user]
    assert data.timestamp is not None
    stamps = data.timestamp
    return [int(data.item[row]) for row in sorted(own, key=lambda row: int(stamps[row]))]


def train_of(split_ptr: NDArray[np.int64], train: NDArray[np.int64], user: int) -> list[int]:
    own: list[int] = train[split_ptr[user] : split_ptr[user + 1]].tolist()
    return own


def test_last_is_test_and_the_one_before_is_validation() -> None:
    data = made(
        [(0, 4, 9), (1, 1, 5), (0, 2, 3), (1, 0, 4), (0, 3, 7), (1, 2, 6), (0, 0, 1)], 2, 200
    )
    split = leave_one_out(data)
    assert split.test.tolist() == [4, 2]
    assert split.validation.tolist() == [3, 1]
    assert split.ptr.tolist() == [0, 2, 3]
    assert split.train.tolist() == [0, 2, 0]
    assert split.n_items == 200
    assert split.n_users == 2
    assert split.warm.tolist() == [0, 1]


def test_file_order_breaks_ties() -> None:
    data = generated()
    split = leave_one_out(data)
    for user in range(60):
        ordered = history(data, user)
        assert [
            *train_of(split.ptr, split.train, user),
            split.validation[user],
            split.test[user],
        ] == ordered


def test_without_timestamps_the_file_order_is_the_time_order() -> None:
    data = replace(generated(), timestamp=None)
    split = leave_one_out(data)
    for user in range(60):
        own = data.item[data.user == user].tolist()
        assert split.test[user] == own[-1]
        assert train_of(split.ptr, split.train, user) == own[:-2]


def test_unordered_files_break_ties_by_a_hash_that_ignores_the_file_order() -> None:
    data = generated(sequential=False)
    assert data.timestamp is not None
    split = leave_one_out(data)
    shuffle = np.random.default_rng(1).permutation(len(data.user))
    shuffled = replace(
        data,
        user=data.user[shuffle],
        item=data.item[shuffle],
        timestamp=data.timestamp[shuffle],
    )
    again = leave_one_out(shuffled)
    assert np.array_equal(split.train, again.train)
    assert np.array_equal(split.test, again.test)
    in_file_order = leave_one_out(generated())
    assert (split.test != in_file_order.test).mean() > 0.5
    stamp = dict(zip(zip(data.user, data.item, strict=True), data.timestamp, strict=True))
    for user in range(60):
        own = [*train_of(split.ptr, split.train, user), split.validation[user], split.test[user]]
        stamps = [stamp[user, item] for item in own]
        assert stamps == sorted(stamps)


@pytest.mark.parametrize("cold_users", [0.0, 0.25, 1.0])
def test_cold_users_take_no_part_in_training(cold_users: float) -> None:
    data = generated()
    split = leave_one_out(data, cold_users)
    counts = np.bincount(data.user)
    assert len(split.cold_users) == round(cold_users * (counts >= 20).sum())
    assert split.cold_users.tolist() == sorted(set(split.cold_users.tolist()))
    assert sorted([*split.cold_users, *split.warm]) == list(range(60))
    assert (counts[split.cold_users] >= 20).all()
    for user, items in zip(split.cold_users, split.first_items, strict=True):
        assert items.tolist() == history(data, user)[:20]
        assert train_of(split.ptr, split.train, user) == []
        assert split.validation[user] == split.test[user] == -1
        assert (split.sampled["test"][user] == 0).all()
        assert (split.sampled["validation"][user] == 0).all()


def test_users_with_fewer_items_are_kept_out_where_they_may_be() -> None:
    data = generated()
    split = leave_one_out(data, 0.5, cold_least=5)
    counts = np.bincount(data.user)
    assert len(split.cold_users) == round(0.5 * (counts >= 5).sum())
    assert counts[split.cold_users].min() < 20
    for user, items in zip(split.cold_users, split.first_items, strict=True):
        own = history(data, user)[:20]
        assert items.tolist() == own + [-1] * (20 - len(own))


def test_folds_keep_everybody_out_once() -> None:
    data = generated()
    enough = np.flatnonzero(np.bincount(data.user) >= 20)
    folds = [leave_one_out(data, 0.25, cold_fold=fold).cold_users for fold in range(4)]
    assert folds[0].tolist() == leave_one_out(data, 0.25).cold_users.tolist()
    together = np.concatenate(folds)
    assert len(set(together)) == len(together) >= len(enough) - 2
    assert set(together) <= set(enough)


def test_keeping_users_out_changes_nothing_for_the_others() -> None:
    data = generated()
    whole, part = leave_one_out(data), leave_one_out(data, 0.25)
    for user in part.warm:
        assert train_of(whole.ptr, whole.train, user) == train_of(part.ptr, part.train, user)
        assert whole.test[user] == part.test[user]
        assert np.array_equal(whole.sampled["test"][user], part.sampled["test"][user])


def test_candidates_are_distinct_never_touched_and_drawn_apart() -> None:
    data = generated()
    split = leave_one_out(data)
    for user in range(60):
        touched = set(history(data, user))
        for sampled in (split.sampled["validation"][user], split.sampled["test"][user]):
            assert len(set(sampled.tolist())) == SAMPLED
            assert not touched & set(sampled.tolist())
            assert sampled.min() >= 0
            assert sampled.max() < 300
        # 99 of about 270 each, independently: about 36 in common
        both = set(split.sampled["validation"][user].tolist()) & set(
            split.sampled["test"][user].tolist()
        )
        assert len(both) < 70


def test_every_free_item_is_about_as_often_a_candidate() -> None:
    """400 users with the same history: each of 197 free items is drawn 201 times, give or take."""
    rows = [(user, item, item) for user in range(400) for item in range(3)]
    split = leave_one_out(made(rows, 400, 200))
    counts = np.bincount(split.sampled["test"].ravel(), minlength=200)
    assert counts[:3].tolist() == [0, 0, 0]
    share = SAMPLED / 197
    spread = np.sqrt(400 * share * (1 - share))
    deviation = (counts[3:] - 400 * share) / spread
    assert np.abs(deviation).max() < 4.5
    assert np.mean(deviation**2) == pytest.approx(1, abs=0.4)


def test_a_small_catalogue_gives_all_there_is_once() -> None:
    split = leave_one_out(made([(0, 0, 1), (0, 1, 2), (0, 2, 3)], 1, 40))
    assert split.sampled["test"].shape == (1, SAMPLED)
    assert sorted(split.sampled["test"][0].tolist()) == [-1] * (SAMPLED - 37) + list(range(3, 40))
    assert unasked(split) == {"sampled99": 1}


def test_a_user_with_every_item_trains_and_is_not_tested() -> None:
    """Of its validation the test item is the only rival; of its test nothing is left."""
    rows = [(0, item, item) for item in range(5)] + [(1, item, item) for item in range(3)]
    split = leave_one_out(made(rows, 2, 5))
    assert split.warm.tolist() == split.asked("validation").tolist() == [0, 1]
    assert split.asked("test").tolist() == [1]
    assert unasked(split) == {"test": 1, "sampled99": 1}
    assert told(split)[0] == "1 user has all 5 items: nothing is left to rank in the test"


def test_who_trains_on_every_item_has_no_negatives() -> None:
    rows = [(0, item, item) for item in range(4)] + [(1, 0, 1), (1, 1, 20)]
    rows += [(2, item, time) for item, time in enumerate((4, 9, 25, 30))]
    split = global_time(made(rows, 3, 4), 0.6, 0.8)
    assert np.diff(split.ptr)[0] == 4
    assert unasked(split)["negatives"] == 1
    assert told(split)[0] == "1 user has all 4 items: trained without negatives"


def test_the_split_is_fixed_for_all_runs() -> None:
    one, other = leave_one_out(generated(), 0.25), leave_one_out(generated(), 0.25)
    for name, value in vars(one).items():
        assert name in ("draw", "data") or np.array_equal(value, vars(other)[name]), name
    for part in ("validation", "test"):
        assert np.array_equal(one.sampled[part], other.sampled[part])


def test_candidates_and_cold_users_are_pinned() -> None:
    """A change of these breaks the comparison with every earlier run: never without a note."""
    rows = [(user, (7 * user + 11 * k) % 300, k) for user in range(8) for k in range(25)]
    split = leave_one_out(made(rows, 8, 300), cold_users=0.25)
    assert split.cold_users.tolist() == [1, 7]
    assert split.sampled["test"][split.warm[0], :5].tolist() == [8, 43, 85, 160, 102]
    assert split.sampled["validation"][split.warm[0], :5].tolist() == [122, 195, 185, 184, 183]


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=8), min_size=1, max_size=6))
def test_every_interaction_is_used_once(stamps: list[list[int]]) -> None:
    rows = [(user, item, s) for user, own in enumerate(stamps) for item, s in enumerate(own)]
    split = leave_one_out(made(rows, len(stamps), 12))
    for user, own in enumerate(stamps):
        parts = [*train_of(split.ptr, split.train, user), split.validation[user], split.test[user]]
        assert sorted(parts) == list(range(len(own)))
        assert [own[item] for item in parts] == sorted(own)


def dated(users: int = 40, items: int = 200) -> Interactions:
    """3 to 30 items a user, each user active for a while at some time of 1,000 days."""
    rng = np.random.default_rng(1)
    rows = []
    for user in range(users):
        begin, days = rng.integers(0, 900), rng.integers(1, 600)
        for item in rng.permutation(items)[: rng.integers(3, 31)]:
            rows.append((user, int(item), int(min(999, begin + rng.integers(0, days)))))
    return made([rows[i] for i in rng.permutation(len(rows))], users, items)


def test_dates_are_the_same_for_everybody() -> None:
    rows = [
        # in time order 0, 1, ..., 9: the dates are 5 and 8
        (0, 10, 0),
        (1, 11, 1),
        (0, 12, 5),
        (2, 13, 6),
        (0, 14, 7),
        (0, 15, 8),
        (1, 16, 9),
        (1, 17, 4),
        (3, 18, 2),
        (3, 19, 3),
    ]
    split = global_time(made(rows, 4, 200), train_until=0.5, validate_until=0.8)
    assert split.train.tolist() == [10, 11, 17, 18, 19]
    assert split.ptr.tolist() == [0, 1, 3, 3, 5]
    # user 0 is asked twice, user 1 once, 2 came too late, 3 never came back
    assert split.validation.tolist() == [12, -1, -1, -1]
    assert split.test.tolist() == [15, 16, -1, -1]
    assert split.known.tolist() == [3, 2, 1, 2]
    assert split.warm.tolist() == [0, 1, 3]
    assert split.asked("validation").tolist() == [0]
    assert split.asked("test").tolist() == [0, 1]
    assert len(split.cold_users) == 0


@pytest.mark.parametrize(("train_until", "validate_until"), [(0.8, 0.9), (0.3, 0.7)])
def test_global_time_by_the_definition(train_until: float, validate_until: float) -> None:
    data = dated()
    assert data.timestamp is not None
    split = global_time(data, train_until, validate_until)
    stamps = sorted(data.timestamp.tolist())
    first = stamps[int(train_until * len(stamps))]
    second = stamps[int(validate_until * len(stamps))]
    stamp = dict(zip(zip(data.user, data.item, strict=True), data.timestamp.tolist(), strict=True))
    for user in range(40):
        ordered = history(data, user)
        before = [item for item in ordered if stamp[user, item] < first]
        known = [item for item in ordered if stamp[user, item] < second]
        between, late = ordered[len(before) : len(known)], ordered[len(known) :]
        assert train_of(split.ptr, split.train, user) == before
        assert train_of(split.history_ptr, split.history, user) == ordered
        assert split.known[user] == len(known)
        assert split.validation[user] == (between[0] if before and between else -1)
        assert split.test[user] == (late[0] if before and late else -1)
        for sampled, target in (
            (split.sampled["validation"][user], split.validation[user]),
            (split.sampled["test"][user], split.test[user]),
        ):
            drawn = set(sampled.tolist())
            assert drawn == {0} if target < 0 else len(drawn - set(ordered)) == SAMPLED


def test_nobody_trains_on_what_is_later_than_a_target() -> None:
    data = dated()
    assert data.timestamp is not None
    split = global_time(data, 0.5, 0.75)
    stamp = dict(zip(zip(data.user, data.item, strict=True), data.timestamp, strict=True))
    owner = np.repeat(np.arange(40), np.diff(split.ptr))
    latest = max(stamp[pair] for pair in zip(owner, split.train, strict=True))
    asked = split.asked("validation")
    earliest = min(stamp[user, split.validation[user]] for user in asked)
    assert latest < earliest
    assert earliest <= min(stamp[user, split.test[user]] for user in split.asked("test"))


def test_candidates_do_not_depend_on_the_split() -> None:
    data = dated()
    split = global_time(data, 0.5, 0.75)
    asked = split.asked("test")
    assert np.array_equal(split.sampled["test"][asked], leave_one_out(data).sampled["test"][asked])


def test_leave_one_out_knows_all_but_the_last() -> None:
    data = generated()
    split = leave_one_out(data, 0.25)
    counts = np.bincount(data.user)
    assert split.asked("test").tolist() == split.asked("validation").tolist() == split.warm.tolist()
    assert np.array_equal(split.known[split.warm], counts[split.warm] - 1)
    assert (split.known[split.cold_users] == 0).all()
    for user in range(60):
        assert train_of(split.history_ptr, split.history, user) == history(data, user)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (replace(dated(), timestamp=None), "data set 'made' has no timestamps"),
        (replace(dated(), sequential=False), "is not sequential"),
        # as in copies of data sets in which times count each user's own interactions
        (
            made([(u, i, i) for u in range(6) for i in range(4)], 6, 9),
            "6 of 6 users of data set 'made' begin at the same time",
        ),
    ],
)
def test_global_time_needs_dates(data: Interactions, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        global_time(data)
    assert "use [protocol] split = 'leave-one-out'" in str(caught.value)


def test_global_time_needs_users_who_come_back() -> None:
    rows = [(user, item, 10 * user + item) for user in range(8) for item in range(3)]
    with pytest.raises(InputError, match=r"no user of 'made' .* time of the validation .*choose"):
        global_time(made(rows, 8, 200), 0.5, 0.75)


def test_new_items_are_in_no_history() -> None:
    data = generated()
    split = leave_one_out(data, 0.25, cold_items=0.6)
    assert len(split.cold_items) == 180
    assert split.cold_items.tolist() == sorted(set(split.cold_items.tolist()))
    new = set(split.cold_items.tolist())
    short = 0
    for user in range(60):
        kept = [item for item in history(data, user) if item not in new]
        taken = [item for item in history(data, user) if item in new]
        assert train_of(split.history_ptr, split.history, user) == kept
        assert train_of(split.cold_item_ptr, split.cold_item_history, user) == taken
        trained = train_of(split.ptr, split.train, user)
        if user in split.cold_users:
            assert trained == []
        elif len(kept) < 3:
            short += 1
            assert (trained, split.test[user], split.validation[user]) == ([], -1, -1)
        else:
            assert [*trained, split.validation[user], split.test[user]] == kept
            # what the user has of them is no candidate
            assert not set(split.sampled["test"][user].tolist()) & set(taken)
    assert short > 0


def test_new_items_are_pinned_and_others_keep_theirs() -> None:
    whole, part = leave_one_out(generated()), leave_one_out(generated(), cold_items=0.02)
    assert part.cold_items.tolist() == [83, 126, 203, 208, 252, 289]
    both = np.flatnonzero((whole.test == part.test) & (part.test >= 0))
    assert len(both) > 40
    assert np.array_equal(whole.sampled["test"][both], part.sampled["test"][both])


def test_users_that_cannot_be_split_neither_train_nor_are_asked() -> None:
    rows = [(user, item, item) for user in range(3) for item in range(user + 1)]
    split = leave_one_out(made(rows, 3, 200))
    assert split.warm.tolist() == split.asked("validation").tolist() == [2]
    assert split.asked("test").tolist() == [2]
    assert split.known.tolist() == [0, 0, 2]


def test_some_users_of_a_population_draw_what_they_would_among_all() -> None:
    data = generated(sequential=False)
    whole = leave_one_out(data, 0.25)
    chosen = np.sort([*whole.cold_users, *whole.warm[::3]])
    rows = np.isin(data.user, chosen)
    assert data.timestamp is not None
    some = replace(
        data,
        user=np.searchsorted(chosen, data.user[rows]),
        item=data.item[rows],
        timestamp=data.timestamp[rows],
        n_users=len(chosen),
    )
    long_enough = (np.bincount(some.user) >= 20).sum()
    part = leave_one_out(some, len(whole.cold_users) / long_enough, user_ids=chosen)
    assert chosen[part.cold_users].tolist() == whole.cold_users.tolist()
    assert np.array_equal(part.first_items, whole.first_items)
    for name in ("validation", "test", "known"):
        assert np.array_equal(getattr(part, name), getattr(whole, name)[chosen]), name
    for name in ("validation", "test"):
        assert np.array_equal(part.sampled[name], whole.sampled[name][chosen]), name
    for place, user in enumerate(chosen):
        trained = train_of(whole.ptr, whole.train, user)
        assert train_of(part.ptr, part.train, place) == trained


def test_global_time_of_a_single_user() -> None:
    split = global_time(made([(0, item, item) for item in range(10)], 1, 200))
    assert split.warm.tolist() == [0]
    assert (split.validation.tolist(), split.test.tolist()) == ([8], [9])


def test_a_sample_of_users_is_asked_the_same_and_all_train_the_same() -> None:
    data = generated()
    whole, few, more = (leave_one_out(data, most_asked=most) for most in (None, 10, 25))
    asked = few.asked("test")
    assert len(asked) == 10
    assert set(asked) < set(more.asked("test")) < set(whole.asked("test"))
    assert np.array_equal(few.train, whole.train)
    assert np.array_equal(few.asked("validation"), asked)
    assert np.array_equal(few.test[asked], whole.test[asked])
    for part in ("validation", "test"):
        assert np.array_equal(few.sampled[part][asked], whole.sampled[part][asked])


def test_a_sample_under_global_time_is_of_those_who_can_be_asked() -> None:
    rng = np.random.default_rng(1)
    rows = [
        (user, int(item), 20 * user + 40 * int(place))
        for user in range(40)
        for place, item in enumerate(rng.permutation(90)[: rng.integers(3, 30)])
    ]
    data = made(rows, 40, 90)
    whole, few = global_time(data), global_time(data, most_asked=6)
    either = set(few.asked("test")) | set(few.asked("validation"))
    assert len(either) == 6 < len(set(whole.asked("test")) | set(whole.asked("validation")))
    for part in ("validation", "test"):
        assert set(few.asked(part)) == set(whole.asked(part)) & either
    assert np.array_equal(few.train, whole.train)


def test_rows_that_lie_in_order_are_split_like_any_others() -> None:
    """Without times, rows that stand user by user need no sorting."""
    data = replace(generated(), timestamp=None)
    order = np.argsort(data.user, kind="stable")
    sorted_rows = replace(data, user=data.user[order], item=data.item[order])
    assert (np.diff(data.user) < 0).any()
    one, other = (leave_one_out(each, cold_users=0.1) for each in (data, sorted_rows))
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(value, vars(other)[name]), name


def test_who_is_not_in_the_sample_is_not_said_to_have_every_item() -> None:
    split = leave_one_out(generated(), most_asked=10)
    assert len(split.asked("test")) == 10
    assert unasked(split) == {}


@pytest.mark.parametrize("sequential", [True, False])
@pytest.mark.parametrize("by_user", [True, False])
def test_a_split_is_the_same_some_rows_at_a_time(
    sequential: bool, by_user: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = generated(sequential=sequential)
    if by_user:
        order = np.argsort(data.user, kind="stable")
        stamps = None if data.timestamp is None else data.timestamp[order]
        data = replace(data, user=data.user[order], item=data.item[order], timestamp=stamps)
    for timed in (data, replace(data, timestamp=None)):
        whole = leave_one_out(timed, cold_items=0.1)
        with monkeypatch.context() as patched:
            for place in ("core.mapped", "data.row_blocks"):
                patched.setattr(f"ufgraphfr.{place}.ROWS_AT_ONCE", 400)
            patched.setattr("ufgraphfr.core.mapped.LARGE", 8)
            some = leave_one_out(timed, cold_items=0.1)
            candidates = some.rivals
        for name, value in vars(whole).items():
            if isinstance(value, np.ndarray):
                assert value.tolist() == getattr(some, name).tolist(), name
        for part, rivals in candidates.items():
            assert rivals.tolist() == whole.rivals[part].tolist()
