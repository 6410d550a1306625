"""Who interacted with what, and when: all that a split and the clients' histories are made of."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError

MIN_INTERACTIONS = 3
"""Fewer cannot be split into training, validation and test."""


@dataclass(frozen=True)
class Interactions:
    """Interactions in file order, with users and items numbered from 0.

    Attributes:
        user: int64 ``[interactions]``, user ids.
        item: int64 ``[interactions]``, item ids.
        timestamp: int64 ``[interactions]``, any unit, or None.
        n_users: how many users there are.
        n_items: how many items there are, whether or not anybody has touched them.
        sequential: whether timestamps or file order say what came first.
        name: of the data set, for messages.

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

    def __post_init__(self) -> None:
        """Checks the ids."""
        for name, ids, size in (
            ("user", self.user, self.n_users),
            ("item", self.item, self.n_items),
        ):
            if len(ids) == 0:
                raise InputError(
                    f"data set '{self.name}' holds no user with at least "
                    f"{MIN_INTERACTIONS} interactions: check the files and the column names"
                )
            if ids.min() < 0 or ids.max() >= size:
                raise ValueError(f"{name} numbers must lie in [0, {size})")

    def __len__(self) -> int:
        """How many interactions there are."""
        return len(self.user)


@dataclass(frozen=True)
class Cleaning:
    """What was left out, counted, never silently."""

    bad_rows: int = 0
    repeated_pairs: int = 0
    dropped_users: int = 0

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.bad_rows} bad rows skipped, {self.repeated_pairs} repeated (user, item) rows "
            f"dropped, {self.dropped_users} users with fewer than {MIN_INTERACTIONS} "
            f"interactions dropped"
        )


@dataclass(frozen=True)
class Numbered:
    """Rows after cleaning and numbering.

    Attributes:
        user, item, timestamp: as of `Interactions`.
        users: the users' names, ``users[u]``.
        items: the items' names, ``items[i]``.
        cleaning: what was left out.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    timestamp: NDArray[np.int64] | None
    users: tuple[str, ...]
    items: tuple[str, ...]
    cleaning: Cleaning


def number(
    user_names: pl.Series, item_names: pl.Series, timestamp: NDArray[np.int64] | None
) -> Numbered:
    """Drop repeated pairs (the first is kept) and short users; number what remains.

    Users and items are numbered in order of first appearance.

    Args:
        user_names: the user of each row, in file order.
        item_names: the item of each row.
        timestamp: int64 ``[rows]``, or None.
    """
    users, user = _number(user_names)
    items, item = _number(item_names)
    pair = user * len(items) + item
    first = np.sort(np.unique(pair, return_index=True)[1])
    counts = np.bincount(user[first], minlength=len(users))
    kept = first[counts[user[first]] >= MIN_INTERACTIONS]
    cleaning = Cleaning(
        repeated_pairs=len(pair) - len(first),
        dropped_users=int((counts < MIN_INTERACTIONS).sum()),
    )
    final_users, user = _number(users.gather(user[kept]))
    final_items, item = _number(items.gather(item[kept]))
    stamps = None if timestamp is None else timestamp[kept]
    return Numbered(user, item, stamps, tuple(final_users), tuple(final_items), cleaning)


def _number(names: pl.Series) -> tuple[pl.Series, NDArray[np.int64]]:
    """Distinct names in order of first appearance, and each row's number among them."""
    rows = names.alias("name").to_frame()
    distinct = rows.unique(maintain_order=True).with_row_index("number")
    numbered = rows.join(distinct, on="name", how="left", maintain_order="left")
    return distinct["name"], numbered["number"].to_numpy().astype(np.int64)
