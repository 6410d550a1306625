"""Who interacted with what, and when: all that a split and the clients' histories are made of."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.mapped import let_go
from ufgraphfr.data.row_blocks import Rows, bounds, by_users, counted

MIN_INTERACTIONS = 3
"""Fewer cannot be split into training, validation and test."""
PARTS = ("train", "validation", "test")
"""What data that are split already call them."""


@dataclass(frozen=True)
class Interactions:
    """Interactions with users and items numbered from 0; their order breaks ties in time.

    Attributes:
        user: int64 ``[interactions]``, user ids.
        item: int64 ``[interactions]``, item ids.
        timestamp: int64 ``[interactions]``, any unit, or None.
        n_users: how many users there are.
        n_items: how many items there are, whether or not anybody has touched them.
        sequential: whether timestamps or file order say what came first.
        name: of the data set, for messages.
        part: int64 ``[interactions]``, which of `PARTS` each belongs to, where the data say so.

    Raises:
        InputError: there are none.
        ValueError: an id out of range.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    timestamp: NDArray[np.int64] | None
    n_users: int
    n_items: int
    sequential: bool = True
    name: str = "table"
    part: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Checks the ids."""
        if len(self) == 0:
            raise InputError(
                f"data set '{self.name}' holds no user with at least {MIN_INTERACTIONS} "
                f"interactions: check the files and the column names"
            )
        sides = ("user", self.user, self.n_users), ("item", self.item, self.n_items)
        for name, ids, size in sides:
            if ids.min() < 0 or ids.max() >= size:
                raise ValueError(f"{name} numbers must lie in [0, {size})")
        let_go(self.user.nbytes)

    def __len__(self) -> int:
        """How many interactions there are."""
        return len(self.user)

    @cached_property
    def tied_users(self) -> int:
        """Of how many users ties in time decide which of their last two items is held out when.

        Without times there are none.
        """
        if self.timestamp is None:
            return 0
        ptr = bounds(counted(self.user, self.n_users))
        return sum(map(self._tied, by_users(self.user, ptr)))

    def _tied(self, rows: Rows) -> int:
        """The same of some users, all of whose rows these are."""
        assert self.timestamp is not None
        user, stamp = self.user[rows], self.timestamp[rows]
        order = np.lexsort((stamp, user))
        user, stamp = user[order], stamp[order]
        last = np.flatnonzero(np.append(user[1:] != user[:-1], True))
        ties = (
            (last > k)
            & (user[last] == user.take(last - k - 1, mode="wrap"))
            & (stamp.take(last - k, mode="wrap") == stamp.take(last - k - 1, mode="wrap"))
            for k in (0, 1)
        )
        return int(np.logical_or(*ties).sum())


@dataclass(frozen=True)
class Cleaning:
    """What was left out, counted, never silently.

    Attributes:
        bad_rows: that could not be used.
        repeated_pairs: rows of a user and an item after the earliest one.
        dropped_users: with fewer than ``min_user`` interactions.
        low_ratings: rows of a lower rating than asked for.
        dropped_items: with fewer than ``min_item`` interactions.
        min_user, min_item: what was asked for.
        unlisted: rows of items that are not in the table of items, where that is the catalogue.
    """

    bad_rows: int = 0
    repeated_pairs: int = 0
    dropped_users: int = 0
    low_ratings: int = 0
    dropped_items: int = 0
    min_user: int = MIN_INTERACTIONS
    min_item: int = 1
    unlisted: int = 0

    def __str__(self) -> str:
        """One line for people."""
        low = f"{self.low_ratings} rows of low ratings dropped, " if self.low_ratings else ""
        rare = (
            f", {self.dropped_items} items with fewer than {self.min_item} interactions dropped"
            if self.min_item > 1
            else ""
        )
        if self.unlisted:
            low += f"{self.unlisted} rows of items that are not in the table of items dropped, "
        return (
            f"{self.bad_rows} bad rows skipped, {low}{self.repeated_pairs} repeated (user, item) "
            f"rows dropped, {self.dropped_users} users with fewer than {self.min_user} "
            f"interactions dropped{rare}"
        )


@dataclass(frozen=True)
class Selection:
    """Which interactions count, and in which order.

    Attributes:
        file_order: whether the file's order means something: then rows stay in it, and it breaks
            ties in time. Otherwise rows are in the order of time, a hash of their ids breaks ties,
            and the order of a file's lines changes nothing.
        min_user: users with fewer interactions are dropped.
        min_item: items likewise; if both are asked for, until all that remain have as many.
        items: all there are, in this order, whoever has them; rows of others are left out. None
            takes those of the rows.
        ties_end_order: whether order means nothing where ties in time decide what most users had
            last.
    """

    file_order: bool = True
    min_user: int = MIN_INTERACTIONS
    min_item: int = 1
    items: tuple[str, ...] | None = None
    ties_end_order: bool = False


FILE_ORDER = Selection()
