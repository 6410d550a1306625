"""Generated interactions with planted groups: the answer is known, nothing is fetched.

Users and items belong to groups; a user likes the items of the own group. With
``interactions = items // groups`` and ``noise = 0`` it is the checkerboard: the one item of the
own colour that is missing from a user's history is the answer.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ufgraphfr.core.mapped import gathered
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.dataset import Card, Dataset, Users
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.per_user import Names, Repeated
from ufgraphfr.data.sources._popularity import SHORTEST, Population
from ufgraphfr.data.sources.base import Source
from ufgraphfr.data.untrained import Untrained

# fmt: off
_COLOURS = (
    "red", "orange", "yellow", "green", "blue", "violet", "brown", "black", "white", "grey",
    "pink", "turquoise", "golden", "silver", "crimson", "indigo",
)
# fmt: on
_COLOUR = "favourite colour"

Ids: TypeAlias = NDArray[np.int64]


class Synthetic(Source):
    """Planted groups."""

    card: ClassVar[Card] = Card(name="synthetic", title="Synthetic planted groups")

    users: int = Field(default=200, ge=1)
    """How many users there are."""
    items: int = Field(default=120, ge=3)
    """How many items there are."""
    groups: int = Field(default=4, ge=1)
    """User u and item i belong to groups ``u % groups`` and ``i % groups``."""
    interactions: int = Field(default=20, ge=3)
    """How many distinct items each user interacts with."""
    noise: float = Field(default=0.1, ge=0, le=1)
    """The chance that an interaction is with an item of another group."""
    order: Literal["random", "chain"] = "random"
    """In a chain, a user walks through the group's items in their order from a random start; with
    ``popularity``, through what it has, in one hidden order of all items."""
    popularity: float = Field(default=0.0, ge=0, le=2)
    """With more than 0 some items are popular: the r-th of a group is drawn with chance
    ``1 / r ** popularity``. Users then have different numbers of items, ``interactions`` on
    average; what is drawn twice counts once, so that noise shows a little more often. A million
    users are made in a minute or two."""
    spread: float = Field(default=0.8, ge=0, le=2)
    """With ``popularity``: standard deviation of the logarithm of a user's number of items, which
    is at least 3 and at most half of what a group has."""
    profile_accuracy: float = Field(default=1.0, ge=0, le=1)
    """The chance that a user's text names the own group and not another one."""
    seed: int = Field(default=0, ge=0, lt=2**64)
    """Of all that is drawn."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        size = self.items // self.groups
        if self.items % self.groups:
            raise ValueError(f"items = {self.items} must be a multiple of groups = {self.groups}")
        if self.interactions > size:
            raise ValueError(f"interactions may be at most items // groups = {size}")
        if self.popularity and size < 2 * SHORTEST:
            raise ValueError(
                f"popularity needs groups of {2 * SHORTEST} items or more: set items to "
                f"{2 * SHORTEST * self.groups} or more, or fewer groups"
            )
        if self.groups == 1 and self.noise:
            raise ValueError("noise needs a second group to come from: set noise = 0")
        return self

    @property
    def origin(self) -> str:
        """See `Source.origin`: each setting makes other people."""
        without = None if self.popularity else {"popularity", "spread"}
        return f"{self.kind} {self.model_dump_json(exclude=without)}"

    def load(self, data_dir: Path | None = None) -> Dataset:
        """Generate the interactions; there are no files."""
        random = np.random.Generator(np.random.Philox(key=self.seed))
        group = np.arange(self.users) % self.groups
        interactions = self._tailed() if self.popularity else self._even(random, group)
        colours = [colour(g) for g in range(self.groups)]
        # one dictionary and one sentence for each group: there may be a million users
        profile_of = [{_COLOUR: each} for each in colours]
        text_of = [self.describe(each) for each in profile_of]
        named = self._named_groups(random, group)
        titles = tuple(
            f"{colours[i % self.groups].capitalize()} picture {i // self.groups + 1}"
            for i in range(self.items)
        )
        return Dataset(
            card=self.card,
            interactions=interactions,
            users=Users(
                names=Names(pl.select("u" + pl.int_range(self.users).cast(pl.String)).to_series()),
                profiles=Repeated(profile_of, named),
                texts=Repeated(text_of, named),
            ),
            catalogue=Catalogue(
                items=tuple(f"i{i}" for i in range(self.items)),
                titles=titles,
                features={"genre": tuple((colours[i % self.groups],) for i in range(self.items))},
            ),
            untrained=Untrained(describe=self.describe, unknown="A person."),
        )

    def describe(self, profile: Mapping[str, str]) -> str:
        """See `Source.describe`."""
        return f"A person whose {_COLOUR} is {profile[_COLOUR]}."

    def _even(self, random: np.random.Generator, group: Ids) -> Interactions:
        """As many items of everybody, each item as likely as any other of its group."""
        chosen = self._own_items(random, group)
        if self.noise:
            is_noise = random.random(chosen.shape) < self.noise
            chosen = np.where(is_noise, self._other_items(random, group), chosen)
        return Interactions(
            user=np.repeat(np.arange(self.users), self.interactions),
            item=chosen.ravel(),
            timestamp=np.tile(np.arange(self.interactions), self.users),
            n_users=self.users,
            n_items=self.items,
            name=self.card.name,
        )

    def _tailed(self) -> Interactions:
        """Some items popular, some users busy; rows are in order, and need no times."""
        found = list[Ids]()

        def items() -> Iterator[NDArray[np.int32]]:
            for lengths, item in self._population.blocks():
                found.append(lengths)
                yield item

        item, lengths = gathered(items(), np.int32), np.concatenate(found)
        some = np.array_split(np.arange(self.users), len(found))
        users = (np.repeat(each, lengths[each]) for each in some)
        return Interactions(
            user=gathered(users, np.int32),
            item=item,
            timestamp=None,
            n_users=self.users,
            n_items=self.items,
            name=self.card.name,
        )

    @property
    def _population(self) -> Population:
        return Population(
            users=self.users,
            items=self.items,
            groups=self.groups,
            mean=self.interactions,
            spread=self.spread,
            popularity=self.popularity,
            noise=self.noise,
            chain=self.order == "chain",
            seed=self.seed,
        )

    def _own_items(self, random: np.random.Generator, group: Ids) -> Ids:
        """Distinct items of each user's own group."""
        size = self.items // self.groups
        if self.order == "chain":
            start = random.integers(0, size, (self.users, 1))
            rank = (start + np.arange(self.interactions)) % size
        else:
            rank = _distinct(random, self.users, self.interactions, size)
        return rank * self.groups + group[:, None]

    def _other_items(self, random: np.random.Generator, group: Ids) -> Ids:
        """Distinct items of other groups than each user's."""
        others = self.groups - 1
        size = self.items // self.groups
        rank = _distinct(random, self.users, self.interactions, others * size)
        step = rank % others + 1
        return rank // others * self.groups + (group[:, None] + step) % self.groups

    def _named_groups(self, random: np.random.Generator, group: Ids) -> Ids:
        """The group each user's text names."""
        if self.groups == 1:
            return group
        wrong = random.random(self.users) >= self.profile_accuracy
        other = (group + random.integers(1, self.groups, self.users)) % self.groups
        return np.where(wrong, other, group)


def _distinct(random: np.random.Generator, rows: int, count: int, high: int) -> Ids:
    """Uniform distinct numbers below ``high`` in random order, int64 ``[rows, count]``.

    Floyd's sampling (J. Bentley and R. Floyd, CACM 30(9), 1987) for all rows at once.
    """
    chosen = np.empty((count, rows), np.int64)
    for draw in range(count):
        top = high - count + draw
        pick = random.integers(0, top + 1, rows)
        chosen[draw] = np.where((chosen[:draw] == pick).any(axis=0), top, pick)
    # large numbers come late in Floyd's order
    return random.permuted(chosen.T, axis=1)


def colour(group: int) -> str:
    """A name for a group: one colour, or several if there are more groups than colours."""
    rest, last = divmod(group, len(_COLOURS))
    return f"{colour(rest - 1)} {_COLOURS[last]}" if rest else _COLOURS[last]
