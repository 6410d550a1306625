"""A data set after the border: every row checked, users and items numbered."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError

MIN_INTERACTIONS = 3
"""Fewer cannot be split into training, validation and test."""


@dataclass(frozen=True)
class Card:
    """What is publicly known of a data set.

    Attributes:
        name: short name, also of its runs.
        title: full name.
        url: the owner's page or file.
        licence: what the owner permits, in one sentence.
        citation: how the owner asks to be cited.
        users, items, interactions: the counts to expect, or None if they are the user's own.
        sequential: whether timestamps or file order say what came first.
    """

    name: str
    title: str
    url: str = ""
    licence: str = ""
    citation: str = ""
    users: int | None = None
    items: int | None = None
    interactions: int | None = None
    sequential: bool = True


@dataclass(frozen=True)
class Cleaning:
    """What the border left out, counted, never silently."""

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
class Dataset:
    """Interactions in file order, with users and items numbered from 0.

    Attributes:
        card: the public facts.
        user: int64 ``[interactions]``.
        item: int64 ``[interactions]``.
        timestamp: int64 ``[interactions]``, any unit, or None.
        users: the users' names, ``users[u]``.
        items: the items' names, ``items[i]``.
        profiles: attributes of each user (name to readable value), empty dicts without profiles.
        texts: one sentence for each user, free of ids.
        titles: one title for each item (the item's name if it has none).
        features: public item features by name, e.g. ``{"genre": (("Drama",), ...)}``.
        cleaning: what was left out.
    """

    card: Card
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    timestamp: NDArray[np.int64] | None
    users: tuple[str, ...]
    items: tuple[str, ...]
    profiles: tuple[dict[str, str], ...]
    texts: tuple[str, ...]
    titles: tuple[str, ...]
    features: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    cleaning: Cleaning = Cleaning()

    def __post_init__(self) -> None:
        """Checks that the parts fit together."""
        users, items = len(self.users), len(self.items)
        for name, numbers, size in (("user", self.user, users), ("item", self.item, items)):
            if len(numbers) == 0:
                raise InputError(
                    f"data set '{self.card.name}' holds no user with at least "
                    f"{MIN_INTERACTIONS} interactions: check the files and the column names"
                )
            if numbers.min() < 0 or numbers.max() >= size:
                raise ValueError(f"{name} numbers must lie in [0, {size})")
        for name, values, size in (
            ("profiles", self.profiles, users),
            ("texts", self.texts, users),
            ("titles", self.titles, items),
        ):
            if len(values) != size:
                raise ValueError(f"{len(values)} {name} for {size}")

    @property
    def sha256(self) -> str:
        """Digest of the canonical interactions: ``user<TAB>item<TAB>timestamp`` lines, in order.

        Names are the data set's own ids; without timestamps the third field is empty.
        """
        digest = hashlib.sha256()
        stamps = [""] * len(self.user) if self.timestamp is None else self.timestamp.tolist()
        for user, item, stamp in zip(self.user.tolist(), self.item.tolist(), stamps, strict=True):
            digest.update(f"{self.users[user]}\t{self.items[item]}\t{stamp}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Numbered:
    """Interactions after numbering; the fields are those of `Dataset`."""

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
