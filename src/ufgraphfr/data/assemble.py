"""From checked tables to a `Dataset`: numbering, profiles, sentences and titles in one place."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from ufgraphfr.data.dataset import Card, Dataset, number

logger = logging.getLogger(__name__)

Profiles = Mapping[str, dict[str, str]]


@dataclass(frozen=True)
class Items:
    """What is publicly known of items, by their names in the files.

    Attributes:
        titles: item to title.
        features: feature to (item to values), e.g. ``{"genre": {"1": ("Drama",)}}``.
    """

    titles: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)


def assemble(
    card: Card,
    interactions: pl.DataFrame,
    profiles: Profiles,
    describe: Callable[[Mapping[str, str]], str],
    stranger: str,
    items: Items,
    bad_rows: int,
) -> Dataset:
    """Number users and items and attach what is known of them.

    Args:
        card: the public facts.
        interactions: string columns ``user`` and ``item``, and int64 ``timestamp`` if there is
            time, in file order.
        profiles: attributes of users by name.
        describe: a profile to a sentence.
        stranger: the sentence for a user without a profile.
        items: what is known of items.
        bad_rows: how many rows were left out before.

    Raises:
        InputError: no user has enough interactions.
    """
    stamps = interactions["timestamp"].to_numpy() if "timestamp" in interactions else None
    rows = number(interactions["user"], interactions["item"], stamps)
    known = tuple(profiles.get(name, {}) for name in rows.users)
    strangers = sum(not profile for profile in known)
    if profiles and strangers:
        logger.warning("%s: %d users have no profile", card.name, strangers)
    return Dataset(
        card=card,
        user=rows.user,
        item=rows.item,
        timestamp=rows.timestamp,
        users=rows.users,
        items=rows.items,
        profiles=known,
        texts=tuple(describe(profile) if profile else stranger for profile in known),
        titles=tuple(items.titles.get(name, name) for name in rows.items),
        features={
            feature: tuple(values.get(name, ()) for name in rows.items)
            for feature, values in items.features.items()
        },
        cleaning=replace(rows.cleaning, bad_rows=bad_rows),
    )
