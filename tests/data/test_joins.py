"""Joins say how many of how many found their row, with an example of each side."""

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.joins import Join


def test_all_are_found():
    join = Join("user", "profile", ("a", "b"), {"a", "b", "c"}, "people.csv")
    assert join.told() == "2 of 2 users are in people.csv"
    assert join.missing == []


def test_some_are_found():
    join = Join("item", "row", ("7", "8", "9"), {"8", "07"}, "books.csv")
    assert join.told() == (
        "1 of 3 items are in books.csv; 2 items have no row, for example '7', where books.csv has "
        "'07'"
    )
    without = Join("item", "row", ("7", "8"), {"8"}, "books.csv").told()
    assert without.endswith("for example '7', where books.csv has nothing else")


def test_none_is_found():
    join = Join("item", "row", ("7", "8"), {"07", "08"}, "books.csv")
    with pytest.raises(InputError, match=r"0 of 2 items .* '7', where books\.csv has '07': write"):
        join.told()
