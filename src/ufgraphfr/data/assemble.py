"""From checked tables to a `Dataset`: numbering, profiles, sentences and titles in one place."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.coded import Coded
from ufgraphfr.data.dataset import Card, Dataset, Users
from ufgraphfr.data.interactions import FILE_ORDER, PARTS, Interactions, Selection
from ufgraphfr.data.joins import Join
from ufgraphfr.data.numbering import number
from ufgraphfr.data.per_user import Names, Repeated
from ufgraphfr.data.untrained import Untrained

logger = logging.getLogger(__name__)

UNORDERED = (
    "the order of a user's interactions is taken to mean nothing, for ties in time decide what "
    "most users had last; if the order means something all the same, set [data] sequential = true"
)
Profiles = Mapping[str, dict[str, str]]


@dataclass(frozen=True)
class Items:
    """What is publicly known of items, by their names in the files.

    Attributes:
        titles: item to title.
        features: feature to (item to values), e.g. ``{"genre": {"1": ("Drama",)}}``.
        file: how messages name their table.
        kinds: what some features are; see `Catalogue`.
    """

    titles: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    file: str = "the item table"
    kinds: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """All items that something is known of."""
        return set(self.titles).union(*self.features.values())

    def of(self, names: tuple[str, ...]) -> Catalogue:
        """The catalogue of these items, in this order."""
        titles = tuple(self.titles.get(name, name) for name in names)
        features = {
            feature: tuple(values.get(name, ()) for name in names)
            for feature, values in self.features.items()
        }
        return Catalogue(names, titles, features, dict(self.kinds))


def assemble(
    card: Card,
    interactions: pl.DataFrame | Coded,
    profiles: Profiles,
    describe: Callable[[Mapping[str, str]], str],
    unknown: str,
    items: Items,
    bad_rows: int,
    *,
    selection: Selection = FILE_ORDER,
    low_ratings: int = 0,
    others: Collection[str] = (),
    rows_read: int = 0,
    ratings: Mapping[str, int] | None = None,
    users_file: str = "the user table",
    notes: Sequence[str] = (),
) -> Dataset:
    """Number users and items and attach what is known of them.

    Args:
        card: the public facts.
        interactions: string columns ``user`` and ``item``, and int64 ``timestamp`` if there is
            time and ``part`` if they are split already, in file order; more columns are ignored.
            Or the same with users and items as numbers.
        profiles: attributes of users by name.
        describe: a profile to a sentence.
        unknown: the sentence for a user without a profile.
        items: what is known of items.
        bad_rows: how many rows were left out before.
        selection: which interactions count, and in which order.
        low_ratings: how many rows were left out for their rating.
        others: users of the files whom neither rows nor profiles may name.
        rows_read: as of `Dataset`; without it, the good rows.
        ratings: as of `Dataset`.
        users_file: how messages name the table of profiles.
        notes: what people should know of how the files were read.

    Raises:
        InputError: no user has enough interactions, or a table has no row for any user or item.
    """
    coded = interactions if isinstance(interactions, Coded) else Coded.of(interactions)
    rows, users, item_names, cleaning = number(coded, card.sequential, card.name, selection)
    rows = _as_ties_allow(rows, selection)
    # with a list of items, rows of others are gone by now
    named = item_names if selection.items is None else sorted(coded.items)
    joins = [
        Join("user", "profile", users, profiles, users_file),
        Join("item", "row", named, items.names, items.file),
    ]
    told = [*notes, *_order(rows, selection, card.sequential)]
    told += _joined(joins, card.name, told)
    left = Untrained(profiles=profiles, describe=describe, unknown=unknown, selection=selection)
    return Dataset(
        card=replace(card, sequential=rows.sequential),
        interactions=rows,
        users=_users(users, profiles, left),
        catalogue=items.of(item_names),
        cleaning=replace(cleaning, bad_rows=bad_rows, low_ratings=low_ratings),
        notes=tuple(told),
        rows_read=rows_read or len(interactions),
        ratings=ratings,
        untrained=left.without(coded, users, others),
    )


def _joined(joins: Iterable[Join], name: str, notes: Iterable[str]) -> list[str]:
    """How much of each table was found, logged after the notes; a warning where not all was."""
    for note in notes:
        logger.info("%s: %s", name, note)
    told = []
    for join in joins:
        if join.known:
            told.append(join.told())
            level = logging.WARNING if join.missing else logging.INFO
            logger.log(level, "%s: %s", name, told[-1])
    return told


def _as_ties_allow(rows: Interactions, selection: Selection) -> Interactions:
    """The rows, whose order may mean nothing for their ties; see `Selection`."""
    tied = selection.ties_end_order and 2 * rows.tied_users > rows.n_users
    return replace(rows, sequential=False) if tied else rows


def _order(rows: Interactions, selection: Selection, declared: bool) -> list[str]:
    """What says which interaction came first or is held out, where it is not time alone.

    Args:
        rows: the interactions.
        selection: what breaks ties.
        declared: whether order was to mean something.
    """
    if rows.part is not None:
        counts = np.bincount(rows.part, minlength=len(PARTS)).tolist()
        told = ", ".join(f"{each:,} {name}" for each, name in zip(counts, PARTS, strict=True))
        return [f"the data say the part of each interaction, for split = 'given': {told}"]
    if rows.timestamp is None and rows.sequential:
        return ["there are no times: the order of the file says what came first"]
    if rows.timestamp is None:
        return [
            "there are no times, so the order of a user's interactions means nothing, and a hash "
            "says which are held out; if the file's order says what came first, set [data] "
            "sequential = true"
        ]
    unordered = UNORDERED if declared else "times do not tell what came first (sequential = false)"
    order = [] if rows.sequential else [unordered]
    if tied := rows.tied_users:
        in_file = rows.sequential and selection.file_order
        breaks = "the file's order" if in_file else "a hash of the ids"
        many = f"{tied:,} of {rows.n_users:,} users have ties in time about their last two items"
        order.append(f"{many}: {breaks} decides which is held out")
    return order


def _users(names: Names, profiles: Profiles, left: Untrained) -> Users:
    """Users with the profiles and sentences that are theirs, each distinct one kept once."""
    place = dict[tuple[tuple[str, str], ...], int]()
    fields = (tuple(profiles.get(name, {}).items()) for name in names)
    numbers = np.fromiter(
        (place.setdefault(own, len(place)) for own in fields), np.int32, len(names)
    )
    distinct = [dict(own) for own in place]
    texts = [left.describe(own) if own else left.unknown for own in distinct]
    return Users(names, Repeated(distinct, numbers), Repeated(texts, numbers))


def profiles_of(rows: pl.DataFrame, user: str = "user") -> Profiles:
    """The profile of each user: the other columns of its row; like ones are one object."""
    found, known = {}, dict[tuple[str, ...], dict[str, str]]()
    for row in rows.iter_rows(named=True):
        name = row.pop(user)
        found[name] = known.setdefault(tuple(row.values()), row)
    return found
