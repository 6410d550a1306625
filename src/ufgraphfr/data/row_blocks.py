"""Rows of interactions by some users at a time, where there are too many to work on together."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.core.mapped import ROWS_AT_ONCE, blocks, gathered, let_go

Ids: TypeAlias = NDArray[np.int64]
Rows: TypeAlias = slice | Ids


def counted(column: Ids, numbers: int, kept: NDArray[np.bool_] | None = None) -> Ids:
    """How often each number below ``numbers`` stands in a column, in the rows that are kept."""
    found = np.zeros(numbers, np.int64)
    for some in blocks(column):
        own = column[some] if kept is None else column[some][kept[some]]
        found += np.bincount(own, minlength=numbers)
    return found


def by_users(user: Ids, ptr: Ids) -> Iterator[Rows]:
    """The places of the rows of some users after those of others, in the order of the file.

    Args:
        user: int64 ``[rows]``.
        ptr: int64 ``[users + 1]``, bounds of as many rows of each user.
    """
    first, ascends = 0, ascending(user)
    while first < len(ptr) - 1:
        last = max(first + 1, int(np.searchsorted(ptr, ptr[first] + ROWS_AT_ONCE, "right")) - 1)
        if ascends:
            yield slice(int(ptr[first]), int(ptr[last]))
        else:
            mask = ((user[some] >= first) & (user[some] < last) for some in blocks(user))
            yield np.flatnonzero(gathered(mask, bool))
        let_go(user.nbytes)
        first = last


def ascending(column: Ids) -> bool:
    """Whether no number is smaller than the one before it."""
    last = column[:1]
    for some in blocks(column):
        both = np.concatenate((last, column[some]))
        if (both[1:] < both[:-1]).any():
            return False
        last = both[-1:]
    return True


def bounds(counts: NDArray[Any]) -> Ids:
    """From counts to CSR bounds, int64 ``[n + 1]``."""
    return np.concatenate(([0], np.cumsum(counts)))
