"""Numbering and cleaning; the digest of the interactions."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.coded import Coded
from ufgraphfr.data.dataset import Card, Dataset, Users
from ufgraphfr.data.interactions import Cleaning, Interactions, Selection
from ufgraphfr.data.numbering import number


def numbered(pairs, stamps=None):
    users, items = zip(*pairs, strict=True)
    columns = {"user": users, "item": items} | ({} if stamps is None else {"timestamp": stamps})
    return number(Coded.of(pl.DataFrame(columns)))


def dataset(user, item, users, items, timestamp=None, **parts):
    facts = {
        "profiles": tuple({} for _ in users),
        "texts": tuple("A user." for _ in users),
        "titles": tuple(items),
        "features": {},
    } | parts
    user, item = np.array(user, np.int64), np.array(item, np.int64)
    return Dataset(
        Card("toy", "Toy"),
        Interactions(user, item, timestamp, len(users), len(items)),
        Users(users, facts["profiles"], facts["texts"]),
        Catalogue(items, facts["titles"], facts["features"]),
    )


def test_numbers_follow_first_appearance():
    pairs = [("b", "z"), ("a", "z"), ("b", "x"), ("a", "y"), ("b", "y"), ("a", "x")]
    rows, users, items, cleaning = numbered(pairs)
    assert users == ("b", "a")
    assert items == ("z", "x", "y")
    assert rows.user.tolist() == [0, 1, 0, 1, 0, 1]
    assert rows.item.tolist() == [0, 0, 1, 2, 2, 1]
    assert (rows.n_users, rows.n_items) == (2, 3)
    assert cleaning == Cleaning()


def test_the_first_of_a_repeated_pair_is_kept():
    pairs = [("a", "x"), ("a", "y"), ("a", "x"), ("a", "z")]
    rows, _, _, cleaning = numbered(pairs, np.array([5, 6, 7, 8]))
    assert rows.item.tolist() == [0, 1, 2]
    assert rows.timestamp.tolist() == [5, 6, 8]
    assert cleaning == Cleaning(repeated_pairs=1)


def test_the_earliest_of_a_repeated_pair_is_kept_wherever_it_stands():
    pairs = [("a", "x"), ("a", "y"), ("a", "z"), ("a", "x"), ("a", "y")]
    stamps = np.array([9, 5, 6, 2, 7])
    rows, _, items, cleaning = numbered(pairs, stamps)
    assert [items[item] for item in rows.item] == ["y", "z", "x"]
    assert rows.timestamp.tolist() == [5, 6, 2]
    assert cleaning == Cleaning(repeated_pairs=2)


def test_users_are_counted_after_repeats_and_their_items_vanish():
    pairs = [("b", "only"), ("b", "x"), ("b", "x"), ("a", "x"), ("a", "y"), ("a", "z")]
    _, users, items, cleaning = numbered(pairs)
    assert users == ("a",)
    assert items == ("x", "y", "z")
    assert cleaning == Cleaning(repeated_pairs=1, dropped_users=1)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("vwxyz")), min_size=1))
def test_numbering_equals_the_slow_way(pairs):
    kept = list(dict.fromkeys(pairs))
    counts = {user: sum(u == user for u, _ in kept) for user, _ in kept}
    kept = [(user, item) for user, item in kept if counts[user] >= 3]
    if not kept:
        with pytest.raises(InputError, match="no user with at least 3"):
            numbered(pairs)
        return
    rows, users, items, cleaning = numbered(pairs)
    assert [(users[u], items[i]) for u, i in zip(rows.user, rows.item, strict=True)] == kept
    assert users == tuple(dict.fromkeys(user for user, _ in kept))
    assert items == tuple(dict.fromkeys(item for _, item in kept))
    assert cleaning.repeated_pairs == len(pairs) - len(set(pairs))
    assert cleaning.dropped_users == sum(count < 3 for count in counts.values())


ROWS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("vwxyz"), st.integers(0, 3)), min_size=1
)


@given(ROWS, st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_the_lines_changes_nothing(rows, random, timed):
    def loaded(lines):
        frame = pl.DataFrame(lines, ("user", "item", "timestamp"), orient="row")
        kept = frame if timed else frame.drop("timestamp")
        return number(Coded.of(kept), selection=Selection(file_order=False))

    other = random.sample(rows, len(rows))
    try:
        one, *names = loaded(rows)
    except InputError:
        with pytest.raises(InputError):
            loaded(other)
        return
    two, *other_names = loaded(other)
    assert names == other_names
    assert one.user.tolist() == two.user.tolist()
    assert one.item.tolist() == two.item.tolist()
    if timed:
        assert one.timestamp.tolist() == two.timestamp.tolist() == sorted(one.timestamp)


def test_ties_are_broken_by_user_and_not_by_who_else_is_there():
    items = [f"i{n}" for n in range(12)]

    def order_of(user, others):
        pairs = [(name, item) for name in (*others, user) for item in items]
        rows = pl.DataFrame(pairs, ("user", "item"), orient="row")
        own, users, names, _ = number(Coded.of(rows), selection=Selection(file_order=False))
        return [names[item] for item in own.item[own.user == users.index(user)]]

    alone = order_of("ann", ())
    assert alone == order_of("ann", ("bob", "eve"))
    assert alone != sorted(alone)
    assert len({tuple(order_of(f"u{n}", ())) for n in range(20)}) == 20
    # each item comes last for some
    last = {order_of(f"u{n}", ())[-1] for n in range(200)}
    assert last == set(items)


@pytest.mark.parametrize(
    ("stamps", "tied"),
    [([1, 2, 3, 4], 0), ([1, 1, 2, 3], 0), ([1, 2, 2, 3], 1), ([3, 1, 2, 3], 1), ([5] * 4, 1)],
)
def test_users_whose_held_out_items_ties_decide_are_counted(stamps, tied):
    stamps = np.array([*stamps, 9, 8, 7])
    rows = Interactions(np.array([0] * 4 + [1] * 3), np.array([0, 1, 2, 3, 0, 1, 2]), stamps, 2, 4)
    assert rows.tied_users == tied
    assert replace(rows, timestamp=None).tied_users == 0


def test_users_and_items_with_too_few_are_dropped_until_all_have_enough():
    pairs = [(user, item) for user in "abcd" for item in "wxyz"]
    # "r" is rare; without it e has three; without e "s" is rare too
    pairs += [("e", item) for item in "rwxs"] + [(user, "s") for user in "abc"]
    rows = pl.DataFrame(pairs, ("user", "item"), orient="row")
    own, users, items, cleaning = number(
        Coded.of(rows), selection=Selection(min_user=4, min_item=4)
    )
    assert (len(own), set(users), set(items)) == (16, set("abcd"), set("wxyz"))
    assert cleaning == Cleaning(dropped_users=1, dropped_items=2, min_user=4, min_item=4)


def test_no_user_left_is_an_error_of_the_input():
    with pytest.raises(InputError, match="no user with at least 3"):
        dataset([], [], (), ())


def test_parts_must_fit_together():
    with pytest.raises(ValueError, match=r"item numbers must lie in \[0, 1\)"):
        dataset([0], [1], ("a",), ("x",))
    with pytest.raises(ValueError, match="2 texts for 1"):
        dataset([0], [0], ("a",), ("x",), texts=("A user.", "A user."))
    with pytest.raises(ValueError, match="0 genre for 1"):
        dataset([0], [0], ("a",), ("x",), features={"genre": ()})
    data = dataset([0], [0], ("a",), ("x",))
    with pytest.raises(ValueError, match="2 names for 1 users"):
        replace(data, users=Users(("a", "b"), ({}, {}), ("", "")))


def test_digest_is_of_names_in_order():
    data = dataset([0, 0], [1, 0], ("ann",), ("x", "y"), np.array([7, 8]))
    assert data.sha256 == hashlib.sha256(b"ann\ty\t7\nann\tx\t8\n").hexdigest()
    untimed = dataset([0, 0], [1, 0], ("ann",), ("x", "y"))
    assert untimed.sha256 == hashlib.sha256(b"ann\ty\t\nann\tx\t\n").hexdigest()


PARTS = {
    "profiles": ({"age": "30"}, {"age": "41", "job": "writer"}),
    "texts": ("A user of 30.", "A writer of 41."),
    "titles": ("X", "Y"),
    "features": {"genre": (("Drama",), ("Drama", "War"))},
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("profiles", ({"age": "31"}, PARTS["profiles"][1])),
        ("profiles", ({"years": "30"}, PARTS["profiles"][1])),
        ("profiles", ({}, PARTS["profiles"][1])),
        ("profiles", PARTS["profiles"][::-1]),
        ("texts", ("A user of 31.", "A writer of 41.")),
        ("titles", ("X", "Z")),
        ("titles", ("Y", "X")),
        ("features", {}),
        ("features", {"year": PARTS["features"]["genre"]}),
        ("features", {"genre": (("Drama",), ("Drama War",))}),
        ("features", {"genre": (("Drama", "Drama"), ("War",))}),
    ],
)
def test_any_change_of_profile_sentence_title_or_feature_changes_the_digest(name, value):
    rows = ([0, 1, 0], [0, 1, 1], ("ann", "bob"), ("x", "y"))
    before, after = dataset(*rows, **PARTS), dataset(*rows, **PARTS | {name: value})
    assert before.sha256 == after.sha256
    assert before.digest == dataset(*rows, **PARTS).digest != after.digest


def test_digest_follows_interactions_and_their_meaning_and_not_the_order_of_keys():
    facts = {"profiles": ({"a": "1", "b": "2"},), "features": {"f": ((), ()), "g": ((), ())}}
    data = dataset([0, 0], [1, 0], ("ann",), ("x", "y"), **facts)
    assert data.digest.startswith("2:")
    turned = {"profiles": ({"b": "2", "a": "1"},), "features": {"g": ((), ()), "f": ((), ())}}
    assert dataset([0, 0], [1, 0], ("ann",), ("x", "y"), **turned).digest == data.digest
    for other in (
        dataset([0, 0], [0, 1], ("ann",), ("x", "y"), **facts),
        dataset([0, 0], [1, 0], ("ann",), ("x", "y"), np.array([1, 2]), **facts),
        replace(data, interactions=replace(data.interactions, sequential=False)),
    ):
        assert other.digest != data.digest


def test_cleaning_reads_as_a_sentence():
    assert str(Cleaning(1, 2, 3)) == (
        "1 bad rows skipped, 2 repeated (user, item) rows dropped, "
        "3 users with fewer than 3 interactions dropped"
    )
    assert str(Cleaning(1, 2, 3, 4, 5, min_user=6, min_item=7)) == (
        "1 bad rows skipped, 4 rows of low ratings dropped, 2 repeated (user, item) rows dropped, "
        "3 users with fewer than 6 interactions dropped, 5 items with fewer than 7 interactions "
        "dropped"
    )


def test_printing_shows_how_much_there_is_and_nothing_of_any_user():
    data = dataset([0, 0, 1], [0, 1, 1], ("ann", "bob"), ("x", "y"))
    assert repr(data) == "Dataset('toy': 2 users, 2 items, 3 interactions)"


def test_digests_are_of_the_whole_whatever_is_held_at_once(monkeypatch):
    """The first is of one line for each row, the second of one JSON document."""
    names, items = ("é", "b", "c"), ("x", 'y"', "z")
    profiles = ({"age": "7", "a": "ü"}, {}, {"city": "Köln"})
    made = dataset([0, 1, 2, 0], [2, 1, 0, 0], names, items, profiles=profiles)
    made = replace(made, interactions=replace(made.interactions, part=np.array([0, 0, 1, 2])))
    facts = {
        "interactions": hashlib.sha256(
            "".join(
                f"{names[u]}\t{items[i]}\t\n" for u, i in ((0, 2), (1, 1), (2, 0), (0, 0))
            ).encode()
        ).hexdigest(),
        "sequential": True,
        "profiles": profiles,
        "texts": ("A user.",) * 3,
        "catalogue": made.catalogue.digest,
        "part": [0, 0, 1, 2],
    }
    expected = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    for at_once in (1, 2, 2**17):
        monkeypatch.setattr("ufgraphfr.data.dataset._ROWS_AT_ONCE", at_once)
        again = replace(made)
        assert again.sha256 == facts["interactions"]
        assert again.digest == f"2:{expected}"
