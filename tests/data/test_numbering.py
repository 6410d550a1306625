"""Rows of names become numbered interactions: against the slow and obvious way, row by row."""

import hashlib
import random
from collections import Counter

import polars as pl
import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.coded import Coded
from ufgraphfr.data.interactions import Selection
from ufgraphfr.data.numbering import number

MASK = 2**64 - 1


def mixed(user: str, item: str) -> int:
    """The hash of a pair."""
    own = [
        int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
        for name in (user, item)
    ]
    found = (own[0] * 6364136223846793005 + own[1]) & MASK
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        found = ((found ^ (found >> shift)) * factor) & MASK
    return found ^ (found >> 31)


def slowly(rows: list[tuple], selection: Selection) -> list[tuple]:
    """The rows that count, in their order."""
    if selection.items is not None:
        rows = [row for row in rows if row[1] in selection.items]
    by_time = sorted(rows, key=lambda row: row[2])
    seen: dict[tuple[str, str], tuple] = {}
    for row in by_time:
        seen.setdefault(row[:2], row)
    kept = [row for row in rows if seen[row[:2]] is row]
    while True:
        users = Counter(user for user, *_ in kept)
        items = Counter(item for _, item, *_ in kept)
        left = [
            row
            for row in kept
            if users[row[0]] >= selection.min_user and items[row[1]] >= selection.min_item
        ]
        if len(left) == len(kept):
            break
        kept = left
    if not selection.file_order:
        kept.sort(key=lambda row: (row[2], mixed(*row[:2])))
    return kept


@pytest.mark.parametrize("at_once", [61, 2**20])
@pytest.mark.parametrize("file_order", [True, False])
@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_rows_are_numbered_as_one_by_one(
    seed: int, timed: bool, file_order: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = random.Random(seed)
    rows = [
        (f"u{chosen.randrange(12)}", f"i{chosen.randrange(15)}", chosen.randrange(6) * timed, n)
        for n in range(150)
    ]
    # the last field keeps equal rows apart
    listed = tuple(f"i{n}" for n in (20, *range(10))) if seed == 3 else None
    selection = Selection(file_order, min_user=4, min_item=2 + 2 * (seed == 1), items=listed)
    expected = slowly(rows, selection)
    for place in ("core.mapped", "data.row_blocks", "data.coded"):
        monkeypatch.setattr(f"ufgraphfr.{place}.ROWS_AT_ONCE", at_once)
    if at_once == 7:
        monkeypatch.setattr("ufgraphfr.core.mapped.LARGE", 16)
    frame = pl.DataFrame(rows, ("user", "item", "timestamp", "part"), orient="row")
    coded = Coded.of(frame if timed else frame.drop("timestamp"))
    own, users, items, cleaning = number(coded, selection=selection)
    found = list(zip(own.user.tolist(), own.item.tolist(), own.part.tolist(), strict=True))
    assert [(users[u], items[i], n) for u, i, n in found] == [
        (user, item, n) for user, item, _, n in expected
    ]
    assert users == tuple(dict.fromkeys(user for user, *_ in expected))
    assert items == (listed or tuple(dict.fromkeys(item for _, item, *_ in expected)))
    if timed:
        assert own.timestamp.tolist() == [time for _, _, time, _ in expected]
    among = [row for row in rows if listed is None or row[1] in listed]
    assert cleaning.unlisted == len(rows) - len(among)
    assert cleaning.repeated_pairs == len(among) - len({row[:2] for row in among})


def test_a_row_of_nobody_left_is_an_error_with_what_was_asked_for() -> None:
    rows = pl.DataFrame({"user": ["a", "a", "a"], "item": ["x", "y", "z"]})
    with pytest.raises(InputError, match="nothing is left of 3 interactions"):
        number(Coded.of(rows), selection=Selection(min_user=4))


def test_rows_of_some_users_come_back_with_names_and_repeats() -> None:
    rows = pl.DataFrame(
        {"user": ["b", "a", "b", "a"], "item": ["x", "y", "x", "z"], "timestamp": [4, 3, 2, 1]}
    )
    coded = Coded.of(rows)
    assert coded.named((coded.users == "b").to_numpy()).to_dict(as_series=False) == {
        "user": ["b", "b"],
        "item": ["x", "x"],
        "timestamp": [4, 2],
    }
