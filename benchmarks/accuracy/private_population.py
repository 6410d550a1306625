"""A generated population, large enough to ask what a privacy budget buys, with taste and order.

    python benchmarks/accuracy/private_population.py population --users 100000
    ufgraphfr run population/private.toml

Items are popular by a Zipf law and belong to scenes of twenty, scenes to public genres. Four latent
chains say which three scenes may follow one; a user's group says which chain the user walks along.
At each step a user takes an unseen item, popular ones sooner: with chance `ORDER` from a scene that
follows in the chain, sooner one of a genre that the user likes; else from such a genre, after which
the chain goes on where it was left. Taste is a mean of the group's and an own one. A profile tells
the group with chance `TOLD`. So popularity is worth something, taste more, the last items more
still, and most of all to know which chain it is.
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]

ITEMS, SCENES, CHAINS, GROUPS = 1000, 50, 4, 8
GENRES: tuple[str, ...] = ("action", "animation", "comedy", "crime", "documentary")
GENRES += ("drama", "fantasy", "horror", "musical", "romance", "thriller", "western")
AGES = ("under 25", "25 to 40", "40 to 60", "over 60")
WORK = ("student", "engineer", "teacher", "doctor", "artist", "farmer", "lawyer", "retired")
SUCCESSORS = (0.6, 0.3, 0.1)
"""Chances of the scenes that may follow one."""
ORDER, TOLD = 0.6, 0.7
LEAST, MOST, MEAN = 12, 100, 30  # interactions of a user
PATIENCE = 10
"""Draws from a scene until somebody who has seen it leaves it."""

SETTINGS = """\
[data]
kind = "table"
interactions = "interactions.parquet"
users = "users.csv"
items = "items.csv"
[algorithm]
kind = "ufgraphformer"
[federation]
rounds = 2
[privacy]
kind = "central-jdp"
epsilon = 8
delta = {delta:g}
[evaluation]
every = 2
"""


class World:
    """What holds for everybody, the same however many users there are.

    An item is drawn from a pool: a scene, or after them a genre.
    """

    def __init__(self, random: np.random.Generator) -> None:
        """Draw items, scenes, chains and the groups' tastes."""
        popularity = random.permutation(1 / (np.arange(ITEMS) + 10.0))
        scene = random.permutation(np.arange(ITEMS) % SCENES)
        self.genre = random.permutation(np.arange(SCENES) % len(GENRES))
        genre = self.genre[scene]
        self.genres = np.stack((genre, random.permutation(genre)), 1)
        self.genres[random.random(ITEMS) >= 0.3, 1] = -1
        draws = [random.permutation(SCENES)[: len(SUCCESSORS)] for _ in range(CHAINS * SCENES)]
        self.successors = np.array(draws).reshape(CHAINS, SCENES, -1)
        self.taste = random.dirichlet(np.full(len(GENRES), 0.2), GROUPS)
        leads = genre == np.arange(len(GENRES))[:, None]
        pools = np.concatenate((scene == np.arange(SCENES)[:, None], leads))
        self.mass = (pools * popularity).sum(1)
        self.within = (pools * popularity).cumsum(1) / self.mass[:, None]

    def items(self, pool: Ints, random: np.random.Generator) -> Ints:
        """One item of each pool, popular ones sooner."""
        found, at = np.zeros(len(pool), np.int64), random.random(len(pool))
        for number in np.unique(pool):
            here = pool == number
            found[here] = np.searchsorted(self.within[number], at[here], side="right")
        return np.minimum(found, ITEMS - 1)


def walked(world: World, group: Ints, random: np.random.Generator) -> tuple[Ints, Ints]:
    """The users' items, int64 ``[users, MOST]`` in order, and how many of them count."""
    users = np.arange(len(group))
    fond = (world.taste[group] + random.dirichlet(np.full(len(GENRES), 0.2), len(group))) / 2
    liked = (fond * world.mass[SCENES:]).cumsum(1)
    liked /= liked[:, -1:]
    length = np.clip(LEAST + random.gamma(1.5, (MEAN - LEAST) / 1.5, len(group)), 0, MOST)
    scene = random.integers(0, SCENES, len(group))
    seen, items = np.zeros((len(group), ITEMS), bool), np.zeros((len(group), MOST), np.int64)
    for step in range(int(length.max())):
        goes_on = random.random(len(group)) < ORDER
        following = world.successors[group % CHAINS, scene]
        chance = (SUCCESSORS * fond[users[:, None], world.genre[following]]).cumsum(1)
        choice = (chance < chance[:, -1:] * random.random((len(group), 1))).sum(1)
        scene = np.where(goes_on, following[users, choice], scene)
        left, tries = np.nonzero(length > step)[0], 0
        while len(left):
            # a scene that has been seen leaves the taste, and a taste any genre
            genre = (liked[left] < random.random((len(left), 1))).sum(1)
            if tries > 10 * PATIENCE:
                genre = random.integers(0, len(GENRES), len(left))
            pool = np.where(goes_on[left] & (tries < PATIENCE), scene[left], SCENES + genre)
            items[left, step] = world.items(pool, random)
            left, tries = left[seen[left, items[left, step]]], tries + 1
        seen[users, items[:, step]] = True
    return items, length.astype(np.int64)


def tables(users: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Interactions, users and items."""
    random = np.random.Generator(np.random.Philox(key=seed))
    world = World(random)
    group = random.integers(0, GROUPS, users)
    told = np.where(random.random(users) < TOLD, group, random.integers(0, GROUPS, users))
    age = np.where(random.random(users) < 0.5, told % 4, random.integers(0, 4, users))
    items, length = walked(world, group, random)
    counted = np.arange(MOST) < length[:, None]
    names = np.char.add("u", np.arange(users).astype(str))
    item_names = np.char.add("i", np.arange(ITEMS).astype(str))
    both = [dict.fromkeys(GENRES[genre] for genre in own if genre >= 0) for own in world.genres]
    titles = [f"Film {item}" for item in range(ITEMS)]
    rows = {"user": np.repeat(names, length), "item": item_names[items[counted]]}
    profiles = {"user": names, "age": np.array(AGES)[age], "occupation": np.array(WORK)[told]}
    public = {"item": item_names, "title": titles, "genre": ["|".join(own) for own in both]}
    return pl.DataFrame(rows), pl.DataFrame(profiles), pl.DataFrame(public)


def main() -> None:
    """Write tables and experiments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to")
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    rows, profiles, public = tables(given.users, given.seed)
    rows.write_parquet(given.folder / "interactions.parquet")
    profiles.write_csv(given.folder / "users.csv")
    public.write_csv(given.folder / "items.csv")
    (given.folder / "private.toml").write_text(SETTINGS.format(delta=min(1e-6, 0.05 / given.users)))
    print(f"{given.folder}: {given.users:,} users, {len(rows):,} interactions")


if __name__ == "__main__":
    main()
