"""What is known of each user, in few bytes."""

import numpy as np
import pytest

from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.per_user import Names, Repeated
from ufgraphfr.data.split import leave_one_out

WORDS = ("ann", "bo", "a name of more than twelve letters", "\u00e9")
COLUMNS = {
    "names": (Names(WORDS), WORDS),
    "repeated": (Repeated(("x", "y"), np.array([1, 0, 1, 1])), ("y", "x", "y", "y")),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_they_are_sequences_like_a_tuple(kind: str) -> None:
    found, values = COLUMNS[kind]
    assert (tuple(found), len(found)) == (values, len(values))
    assert found == values
    assert values == found
    assert found != (*values[:-1], "another")
    assert found != values[:-1]
    assert hash(found) == hash(values)
    for place in (slice(1, 3), slice(None, None, -1), slice(-2, None), slice(9, 12)):
        assert found[place] == values[place]
    assert (found[-1], found[0]) == (values[-1], values[0])
    assert found.index(values[2]) == values.index(values[2])
    assert "nobody" not in found
    with pytest.raises(IndexError):
        found[len(values)]


def test_a_column_of_names_is_not_copied() -> None:
    names = Names(WORDS)
    assert Names(names).series is names.series
    assert len(Names([])) == 0


def test_a_split_keeps_few_bytes_of_a_user() -> None:
    users = 2_000
    data = Interactions(
        user=np.repeat(np.arange(users), 4),
        item=np.tile(np.arange(4), users),
        timestamp=None,
        n_users=users,
        n_items=200,
    )
    split = leave_one_out(data, most_asked=10)
    rows = {"train", "history"}
    arrays = {name: each for name, each in vars(split).items() if isinstance(each, np.ndarray)}
    kept = sum(each.nbytes for name, each in arrays.items() if name not in rows)
    # two bounds of its rows, and the zeros that nobody wrote; three small numbers
    assert kept <= users * (3 * 8 + 3 * 4) + 100
    asked = sum(each.nbytes for pair in split.draw.args[1:] for each in pair)
    assert asked == 2 * 10 * (8 + 8)
