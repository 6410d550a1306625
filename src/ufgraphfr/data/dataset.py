"""A checked data set: its card, its interactions, its users' profiles and its public catalogue."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from ufgraphfr.core.mapped import let_go
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.interactions import Cleaning, Interactions
from ufgraphfr.data.per_user import Names
from ufgraphfr.data.untrained import Untrained

DIGEST_VERSION = 2
"""Of `Dataset.digest`; version 1, written without a prefix, is `Dataset.sha256`."""

_ROWS_AT_ONCE = 2**17
"""Of what is digested."""


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
class Users:
    """What is known of each user.

    Attributes:
        names: the users' names in the files, ``names[u]``; see `per_user` for short forms.
        profiles: attributes (name to readable value), empty dicts without profiles.
        texts: one sentence each, free of ids.

    Raises:
        ValueError: the fields differ in length.
    """

    names: Sequence[str]
    profiles: Sequence[dict[str, str]]
    texts: Sequence[str]

    def __post_init__(self) -> None:
        """Checks the lengths."""
        for name, values in (("profiles", self.profiles), ("texts", self.texts)):
            if len(values) != len(self.names):
                raise ValueError(f"{len(values)} {name} for {len(self.names)}")


@dataclass(frozen=True)
class Dataset:
    """Interactions, users and items.

    Attributes:
        card: the public facts.
        interactions: who interacted with what, and when.
        users: names, profiles and sentences.
        catalogue: the items' names, titles and features.
        cleaning: what was left out.
        notes: what else people should know of how the files were read, a sentence each.
        rows_read: how many rows of interactions the files have, good or bad.
        ratings: how many good rows have each rating, ascending; None where there are none.
        untrained: users of the files who are left out, and can be served.

    Raises:
        ValueError: there are other numbers of users or items than the interactions say.
    """

    card: Card
    interactions: Interactions
    users: Users
    catalogue: Catalogue
    cleaning: Cleaning = field(default_factory=Cleaning)
    notes: tuple[str, ...] = ()
    rows_read: int = 0
    ratings: Mapping[str, int] | None = None
    untrained: Untrained = field(default_factory=Untrained, compare=False)

    def __post_init__(self) -> None:
        """Checks that the parts fit together."""
        rows, users, items = self.interactions, self.users.names, self.catalogue.items
        for what, names, count in (("users", users, rows.n_users), ("items", items, rows.n_items)):
            if len(names) != count:
                raise ValueError(f"{len(names)} names for {count} {what}")

    def __repr__(self) -> str:
        """How much there is; nothing of any user."""
        rows = self.interactions
        return (
            f"Dataset({self.card.name!r}: {rows.n_users:,} users, {rows.n_items:,} items, "
            f"{len(rows):,} interactions)"
        )

    @cached_property
    def digest(self) -> str:
        """Digest of all that is learned from, with its version: ``2:`` and hexadecimal digits.

        It covers `sha256`, whether order means something, each user's profile and sentence, the
        catalogue with titles and features, and how the data are split, where they are already.
        """
        facts = {
            "interactions": self.sha256,
            "sequential": self.interactions.sequential,
            "profiles": self.users.profiles,
            "texts": self.users.texts,
            "catalogue": self.catalogue.digest,
        }
        if self.interactions.part is not None:
            facts["part"] = self.interactions.part.tolist()
        return f"{DIGEST_VERSION}:{_json_digest(facts)}"

    @cached_property
    def sha256(self) -> str:
        """Digest of the canonical interactions: ``user<TAB>item<TAB>timestamp`` lines, in order.

        Names are the data set's own; without timestamps the third field is empty.
        """
        rows, digest = self.interactions, hashlib.sha256()
        users, items = Names(self.users.names).series, pl.Series(self.catalogue.items)
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            some = slice(first, first + _ROWS_AT_ONCE)
            fields = [users[rows.user[some]], items[rows.item[some]]]
            stamp = pl.lit("") if rows.timestamp is None else pl.Series(rows.timestamp[some])
            line = pl.concat_str(*fields, stamp, separator="\t") + "\n"
            digest.update(pl.select(line.str.join("")).item().encode())
            let_go(rows.user.nbytes)
        return digest.hexdigest()


def _json_digest(facts: Mapping[str, Any]) -> str:
    """Digest of ``json.dumps(facts, sort_keys=True)``, which is never held as a whole."""
    digest = hashlib.sha256()
    for number, (name, value) in enumerate(sorted(facts.items())):
        digest.update(f"{', ' if number else '{'}{json.dumps(name)}: ".encode())
        listed = isinstance(value, Sequence) and not isinstance(value, str)
        pieces = _listed(value) if listed else (json.dumps(value, sort_keys=True),)
        for piece in pieces:
            digest.update(piece.encode())
    digest.update(b"}")
    return digest.hexdigest()


def _listed(values: Sequence[Any]) -> Iterator[str]:
    """A list as `json.dumps` writes it, in pieces."""
    yield "["
    for first in range(0, len(values), _ROWS_AT_ONCE):
        some = json.dumps(values[first : first + _ROWS_AT_ONCE], sort_keys=True)
        yield f"{', ' if first else ''}{some[1:-1]}"
    yield "]"
