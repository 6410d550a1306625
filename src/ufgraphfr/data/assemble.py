"""From checked tables to a `Dataset`: numbering, profiles, sentences and titles in one place."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.dataset import Card, Dataset, Users
from ufgraphfr.data.interactions import number

logger = logging.getLogger(__name__)

Profiles = Mapping[str, dict[str, str]]


@dataclass(frozen=True)
class Items:
    """What is publicly known of items, by their names in the files.

    Attributes:
        titles: item to title.
        features: feature to (item to values), e.g. ``{"genre": {"1": ("Drama",)}}``.
        kinds: what some features are; see `Catalogue`.
    """

    titles: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)

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
    interactions: pl.DataFrame,
    profiles: Profiles,
    describe: Callable[[Mapping[str, str]], str],
    unknown: str,
    items: Items,
    bad_rows: int,
) -> Dataset:
    """Number users and items and attach what is known of them.

    Args:
        card: the public facts.
        interactions: string columns ``user`` and ``item``, and int64 ``timestamp`` if there is
            time, in file order; more columns are ignored.
        profiles: attributes of users by name.
        describe: a profile to a sentence.
        unknown: the sentence for a user without a profile.
        items: what is known of items.
        bad_rows: how many rows were left out before.

    Raises:
        InputError: no user has enough interactions.
    """
    rows, users, item_names, cleaning = number(interactions, card.sequential, card.name)
    known = tuple(profiles.get(name, {}) for name in users)
    without_profile = sum(not profile for profile in known)
    if profiles and without_profile:
        logger.warning("%s: %d users have no profile", card.name, without_profile)
    texts = tuple(describe(profile) if profile else unknown for profile in known)
    return Dataset(
        card=card,
        interactions=rows,
        users=Users(users, known, texts),
        catalogue=items.of(item_names),
        cleaning=replace(cleaning, bad_rows=bad_rows),
    )


def profiles_of(rows: pl.DataFrame, user: str = "user") -> Profiles:
    """The profile of each user: the other columns of its row."""
    return {row.pop(user): row for row in rows.iter_rows(named=True)}
