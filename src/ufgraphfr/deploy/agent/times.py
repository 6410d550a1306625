"""Times of several imports in one unit: dates in microseconds, anything else as it is."""

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.timestamps import STEP, unit_of

MICROSECONDS = 2
"""Their unit, see `unit_of`."""


def in_microseconds(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """A column of one unit; one that holds no dates stays as it is."""
    unit = unit_of(int(times.max(initial=0)))
    if unit is None or unit == MICROSECONDS:
        return times
    return times * STEP ** (MICROSECONDS - unit) if unit < MICROSECONDS else times // STEP


def check_alike(before: int | None, now: NDArray[np.int64] | None) -> None:
    """An import's times can be told from those that are there.

    Args:
        before: the latest time that is there; None if what is there has none.
        now: the import's.

    Raises:
        InputError: one side has no times, or one has dates and the other plain numbers.
    """
    if (before is None) != (now is None):
        here, there = ("none", "times") if now is None else ("times", "none")
        raise InputError(
            f"this table has {here} where the interactions already here have {there}: what came "
            f"first could not be told; import tables that are alike"
        )
    if before is None or now is None:
        return
    latest = int(now.max(initial=0))
    if (unit_of(before) is None) != (unit_of(latest) is None):
        raise InputError(
            f"times up to {latest} cannot be compared with those already here, up to {before}: one "
            f"side counts since 1970, the other does not; import times of one kind"
        )
