"""Histories with a popularity tail: few items are had by many, lengths vary, order means something.

The item at place r of a group's ranks is drawn with chance ``1 / (r + 1) ** popularity`` (Zipf);
how many items users have is log-normal. Users are made a block at a time, each block from its own
stream of the seed, so that memory stays bounded and a block is the same whatever comes after it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 2**20
"""Interactions made at once: some 100 MB of draws."""
SHORTEST = 3
"""Fewer items cannot be split."""


@dataclass(frozen=True)
class Population:
    """Who there is, and what they like.

    Attributes:
        users: how many users there are; user u likes the items of group ``u % groups``.
        items: how many items there are, a multiple of ``groups``; of group ``i % groups``.
        groups: how many groups there are.
        mean: items of a user on average.
        spread: standard deviation of the logarithm of how many items a user has.
        popularity: exponent of the tail; 0 draws evenly.
        noise: the chance of an item of another group.
        chain: whether users walk the catalogue in one hidden order, each from a start of its own.
        seed: of all that is drawn.
    """

    users: int
    items: int
    groups: int
    mean: int
    spread: float
    popularity: float
    noise: float
    chain: bool
    seed: int

    @property
    def longest(self) -> int:
        """More than half of the own group would take long to draw."""
        return max(SHORTEST, self.items // self.groups // 2)

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        """Of each block of users the lengths, and their items, one user after the other."""
        size = max(1, BLOCK_ROWS // self.mean)
        hidden = self._stream(0).permutation(self.items)
        chance = np.arange(1, self.items // self.groups + 1) ** -self.popularity
        bounds = np.cumsum(chance / chance.sum())
        for number, first in enumerate(range(0, self.users, size), start=1):
            random = self._stream(number)
            users = np.arange(first, min(first + size, self.users))
            normal = random.standard_normal(len(users)) * self.spread - self.spread**2 / 2
            lengths = np.rint(self.mean * np.exp(normal)).astype(np.int64)
            lengths = lengths.clip(SHORTEST, self.longest)
            owner, item = self._distinct(random, users, lengths, bounds)
            if self.chain:
                start = random.integers(0, self.items, len(users))
                order = (hidden[item] - start[owner]) % self.items + owner * self.items
                item = item[np.argsort(order)]
            yield lengths, item.astype(np.int32)

    def _stream(self, number: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, number))))

    def _distinct(
        self,
        random: np.random.Generator,
        users: NDArray[np.int64],
        lengths: NDArray[np.int64],
        bounds: NDArray[np.float64],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """As many distinct items of each user as asked, by user, otherwise as they were drawn."""
        kept = np.empty(0, np.int64)
        missing = lengths
        while missing.any():
            again = np.repeat(
                np.arange(len(users)), np.where(missing, missing + missing // 2 + 2, 0)
            )
            drawn = self._drawn(random, users[again], bounds)
            # what was drawn first stays first
            both = np.concatenate((kept, again * self.items + drawn))
            _, first = np.unique(both, return_index=True)
            both = both[np.sort(first)]
            both = both[np.argsort(both // self.items, kind="stable")]
            owner = both // self.items
            there = np.bincount(owner, minlength=len(users))
            place = np.arange(len(both)) - np.repeat(np.cumsum(there) - there, there)
            kept = both[place < lengths[owner]]
            missing = lengths - np.minimum(there, lengths)
        return kept // self.items, kept % self.items

    def _drawn(
        self,
        random: np.random.Generator,
        users: NDArray[np.int64],
        bounds: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """One item for each row, of its user's group or, as often as noise says, of another."""
        rank = np.searchsorted(bounds, random.random(len(users))).clip(max=len(bounds) - 1)
        group = users % self.groups
        if self.noise:
            other = random.random(len(users)) < self.noise
            group = (group + other * random.integers(1, self.groups, len(users))) % self.groups
        found: NDArray[np.int64] = rank * self.groups + group
        return found
