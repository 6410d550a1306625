"""Rows of interactions in which users and items are numbers, beside the names these stand for.

Names are told apart once; whatever is asked of the rows after that is asked of numbers, some rows
at a time.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ufgraphfr.core.mapped import LARGE, ROWS_AT_ONCE, blocks, gathered
from ufgraphfr.data.row_blocks import Ids, bounds, by_users, counted

Mask: TypeAlias = NDArray[np.bool_]
Hashes: TypeAlias = NDArray[np.uint64]


@dataclass(frozen=True)
class Coded:
    """Rows in file order.

    Attributes:
        user: int64 ``[rows]``, int32 of many rows.
        item: likewise.
        users: names by number, in any order.
        items: likewise.
        timestamp: int64 ``[rows]``, or None.
        part: int64 ``[rows]``, see `Interactions.part`, or None.
    """

    user: Ids
    item: Ids
    users: pl.Series
    items: pl.Series
    timestamp: Ids | None = None
    part: Ids | None = None

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "Coded":
        """Rows of names, as `assemble` takes them."""
        users, user = _told_apart(rows["user"])
        items, item = _told_apart(rows["item"])
        others = (
            rows[name].to_numpy(writable=True) if name in rows.columns else None
            for name in ("timestamp", "part")
        )
        return cls(user, item, users, items, *others)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.user)

    def named(self, users: Mask) -> pl.DataFrame:
        """The rows of some users, bool by number, with names; columns as of `assemble`."""
        own = _places(users[self.user[some]] for some in blocks(self.user))
        columns = {"user": self.users.gather(self.user[own])}
        columns["item"] = self.items.gather(self.item[own])
        for name in ("timestamp", "part"):
            if (column := getattr(self, name)) is not None:
                columns[name] = pl.Series(column[own])
        return pl.DataFrame(columns)

    def earliest(self, among: Mask | None) -> Mask:
        """Of each pair of user and item the earliest row, of those of one time the first."""
        width, ptr = len(self.items), bounds(counted(self.user, len(self.users)))
        kept = np.zeros(len(self), dtype=bool)
        for rows in by_users(self.user, ptr):
            places = np.arange(len(self))[rows] if isinstance(rows, slice) else rows
            if among is not None:
                places = places[among[places]]
            pair = self.user[places].astype(np.int64) * width + self.item[places]
            keys = [pair] if self.timestamp is None else [self.timestamp[places], pair]
            order = np.lexsort(keys)
            first = np.append(True, np.diff(pair[order]) != 0)[: len(order)]
            kept[places[order[first]]] = True
        return kept

    def core(self, kept: Mask, min_user: int, min_item: int) -> Mask:
        """Of the rows that are kept those of users and items that have enough of each other."""
        while True:
            users, items = self.held(kept)
            enough = users >= min_user, items >= min_item
            left = gathered(
                (
                    kept[some] & enough[0][self.user[some]] & enough[1][self.item[some]]
                    for some in blocks(self.user)
                ),
                bool,
            )
            if int(left.sum()) == int(kept.sum()):
                return kept
            kept = left

    def held(self, kept: Mask) -> tuple[Ids, Ids]:
        """How many rows that are kept each user and each item has."""
        sides = (self.user, len(self.users)), (self.item, len(self.items))
        user, item = (counted(ids, size, kept) for ids, size in sides)
        return user, item

    def ordered(self, kept: Mask, file_order: bool) -> Ids:
        """The places of the rows that are kept: as in the file, or by time, then by `hashes`."""
        if file_order:
            return gathered(_kept_places(kept), np.int64)
        key = self.hashes if self.timestamp is None else self.timestamp
        return gathered((self._by_hash(rows) for rows in _by_size(key, kept)), np.int64)

    def _by_hash(self, rows: Ids) -> Ids:
        keys = [self.hashes[rows]]
        found: Ids = rows[
            np.lexsort(keys if self.timestamp is None else [*keys, self.timestamp[rows]])
        ]
        return found

    @cached_property
    def hashes(self) -> Hashes:
        """A number for each pair of names: the same in every file and machine, in any order."""
        user, item = _digests(self.users), _digests(self.items)
        pairs = (_mixed(user[self.user[s]], item[self.item[s]]) for s in blocks(self.user))
        return gathered(pairs, np.uint64)


def code_kind(rows: int) -> type[Any]:
    """Of the numbers of users and items: narrow where there are many rows."""
    return np.int32 if rows * 8 >= LARGE else np.int64


def _told_apart(names: pl.Series) -> tuple[pl.Series, Ids]:
    """Distinct names in order of first appearance, and each row's number among them."""
    rows = names.alias("name").to_frame()
    distinct = rows.unique(maintain_order=True).with_row_index("number")
    numbered = rows.join(distinct, on="name", how="left", maintain_order="left")["number"]
    return distinct["name"], gathered([numbered.to_numpy()], code_kind(len(names)))


def _digests(names: pl.Series) -> Hashes:
    digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _mixed(user: Hashes, item: Hashes) -> Hashes:
    """The multiplier of a linear congruential generator, then the finish of splitmix64."""
    mixed = user * np.uint64(6364136223846793005) + item
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _kept_places(kept: Mask) -> Iterator[Ids]:
    return (some.start + np.flatnonzero(kept[some]) for some in blocks(kept))


def _places(masks: Iterator[Mask]) -> Ids:
    return np.flatnonzero(gathered(masks, bool))


def _by_size(key: NDArray[Any], kept: Mask) -> Iterator[Ids]:
    """The places that are kept, those of smaller keys first, some at a time.

    Equal keys stay together, so as many rows as share one are the least that come at once.
    """
    step = max(1, len(key) // 2**16)
    sample = np.sort(key[::step])
    cuts = np.unique(sample[:: max(1, ROWS_AT_ONCE // step)][1:])
    for low, high in zip((None, *cuts), (*cuts, None), strict=True):
        mask = (
            kept[some]
            & (True if low is None else key[some] >= low)
            & (True if high is None else key[some] < high)
            for some in blocks(key)
        )
        yield _places(mask)
