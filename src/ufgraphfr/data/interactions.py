"""Who interacted with what, and when: all that a split and the clients' histories are made of."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError

MIN_INTERACTIONS = 3
"""Fewer cannot be split into training, validation and test."""
PARTS = ("train", "validation", "test")
"""What data that are split already call them."""
_ROW, _TIE = "__row__", "__tie__"


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
        order = np.lexsort((self.timestamp, self.user))
        user, stamp = self.user[order], self.timestamp[order]
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
    """

    file_order: bool = True
    min_user: int = MIN_INTERACTIONS
    min_item: int = 1
    items: tuple[str, ...] | None = None


FILE_ORDER = Selection()


def number(
    rows: pl.DataFrame,
    sequential: bool = True,
    name: str = "table",
    selection: Selection = FILE_ORDER,
) -> tuple[Interactions, tuple[str, ...], tuple[str, ...], Cleaning]:
    """Drop repeated pairs (the earliest is kept), short users and rare items; number what remains.

    Args:
        rows: as of `assemble`.
        sequential: as of `Interactions`.
        name: likewise.
        selection: which rows count, and in which order.

    Returns:
        The interactions, the names of users and of items in order of first appearance (of items:
        or as ``selection`` lists them), and what was left out.

    Raises:
        InputError: no user has enough interactions.
    """
    listed = rows if selection.items is None else rows.filter(pl.col("item").is_in(selection.items))
    once = earliest(listed, selection.file_order)
    kept = _core(once, selection.min_user, selection.min_item)
    least = selection.min_user, selection.min_item
    if kept.is_empty() and not once.is_empty() and least != (MIN_INTERACTIONS, 1):
        raise InputError(
            f"nothing is left of {len(once):,} interactions of '{name}' with min_user = {least[0]} "
            f"and min_item = {least[1]} (k_core sets both): ask for less"
        )
    users, user = _number(kept["user"])
    items, item = _number(kept["item"], selection.items)
    stamps = kept["timestamp"].to_numpy(writable=True) if "timestamp" in kept.columns else None
    part = kept["part"].to_numpy(writable=True) if "part" in kept.columns else None
    few_items = once["item"].n_unique() - kept["item"].n_unique() if selection.min_item > 1 else 0
    cleaning = Cleaning(
        repeated_pairs=len(listed) - len(once),
        unlisted=len(rows) - len(listed),
        dropped_users=once["user"].n_unique() - len(users),
        dropped_items=few_items,
        min_user=selection.min_user,
        min_item=selection.min_item,
    )
    own = Interactions(user, item, stamps, len(users), len(items), sequential, name, part)
    return own, users, items, cleaning


def earliest(rows: pl.DataFrame, file_order: bool) -> pl.DataFrame:
    """One row for each pair, in the order that is asked for."""
    tie = pl.int_range(pl.len()) if file_order else pl.lit(_hashes(rows))
    times = ["timestamp"] if "timestamp" in rows.columns else []
    ordered = rows.with_columns(tie.alias(_TIE), pl.int_range(pl.len()).alias(_ROW))
    once = ordered.sort(*times, _TIE, _ROW).unique(
        ("user", "item"), keep="first", maintain_order=True
    )
    return (once.sort(_ROW) if file_order else once).drop(_TIE, _ROW)


def _core(rows: pl.DataFrame, min_user: int, min_item: int) -> pl.DataFrame:
    """Rows of users and items that have enough of each other."""
    enough = (pl.len().over("user") >= min_user) & (pl.len().over("item") >= min_item)
    while len(kept := rows.filter(enough)) < len(rows):
        rows = kept
    return rows


def _hashes(rows: pl.DataFrame) -> pl.Series:
    """A number for each pair of names: the same in every file, on every machine, in any order."""
    user, item = (_name_hashes(rows[side]) for side in ("user", "item"))
    # the multiplier of a linear congruential generator, then the finish of splitmix64
    mixed = user * np.uint64(6364136223846793005) + item
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return pl.Series(mixed ^ (mixed >> np.uint64(31)))


def _name_hashes(names: pl.Series) -> NDArray[np.uint64]:
    distinct, index = _number(names)
    digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in distinct)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)[index]


def _number(
    names: pl.Series, listed: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Distinct names, listed or in order of first appearance, and each row's number among them."""
    rows = names.alias("name").to_frame()
    all_of_them = rows if listed is None else pl.DataFrame({"name": listed})
    distinct = all_of_them.unique(maintain_order=True).with_row_index("number")
    numbered = rows.join(distinct, on="name", how="left", maintain_order="left")
    return tuple(distinct["name"]), numbered["number"].to_numpy().astype(np.int64)
