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
        if len(self) == 0:
            raise InputError(
                f"data set '{self.name}' holds no user with at least {MIN_INTERACTIONS} "
                f"interactions: check the files and the column names"
            )
        sides = ("user", self.user, self.n_users), ("item", self.item, self.n_items)
        for name, ids, size in sides:
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


def number(
    rows: pl.DataFrame, sequential: bool = True, name: str = "table"
) -> tuple[Interactions, tuple[str, ...], tuple[str, ...], Cleaning]:
    """Drop repeated pairs (the first is kept) and short users; number what remains.

    Args:
        rows: as of `assemble`.
        sequential: as of `Interactions`.
        name: likewise.

    Returns:
        The interactions, the names of users and of items in order of first appearance, and what
        was left out.

    Raises:
        InputError: no user has enough interactions.
    """
    once = rows.unique(("user", "item"), keep="first", maintain_order=True)
    kept = once.filter(pl.len().over("user") >= MIN_INTERACTIONS)
    users, user = _number(kept["user"])
    items, item = _number(kept["item"])
    stamps = kept["timestamp"].to_numpy(writable=True) if "timestamp" in kept.columns else None
    cleaning = Cleaning(
        repeated_pairs=len(rows) - len(once),
        dropped_users=once["user"].n_unique() - len(users),
    )
    own = Interactions(user, item, stamps, len(users), len(items), sequential, name)
    return own, users, items, cleaning


def _number(names: pl.Series) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Distinct names in order of first appearance, and each row's number among them."""
    rows = names.alias("name").to_frame()
    distinct = rows.unique(maintain_order=True).with_row_index("number")
    numbered = rows.join(distinct, on="name", how="left", maintain_order="left")
    return tuple(distinct["name"]), numbered["number"].to_numpy().astype(np.int64)
