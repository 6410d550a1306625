"""MovieLens-1M: 6,040 people, 3,706 rated films, 1,000,209 ratings with time; age, gender, trade.

F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015.
Ages and occupations are codes in the files and words here, as the owner's README translates them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import polars as pl

from ufgraphfr.data.assemble import Items, Profiles, profiles_of
from ufgraphfr.data.dataset import Card, Dataset
from ufgraphfr.data.fetch import Published, archive, archive_place
from ufgraphfr.data.files import File
from ufgraphfr.data.parsing import parse
from ufgraphfr.data.sources._listed import ListedSource
from ufgraphfr.data.sources.ml_100k import GENDERS, MovieLens100K, films_of, viewers
from ufgraphfr.data.tables import Layout
from ufgraphfr.data.templates import person
from ufgraphfr.data.timestamps import with_times

_AGES = {
    "1": "under 18",
    "18": "18 to 24",
    "25": "25 to 34",
    "35": "35 to 44",
    "45": "45 to 49",
    "50": "50 to 55",
    "56": "56 or more",
}
# fmt: off
_OCCUPATIONS = dict(zip(map(str, range(21)), (
    "other", "academic or educator", "artist", "clerical or administrative worker",
    "college or graduate student", "customer service", "doctor or health care worker",
    "executive or manager", "farmer", "homemaker", "K-12 student", "lawyer", "programmer",
    "retired", "sales or marketing worker", "scientist", "self-employed", "technician or engineer",
    "tradesman or craftsman", "unemployed", "writer",
), strict=True))
# fmt: on


def _layout(*columns: str) -> Layout:
    return Layout(columns, "::", "latin-1")


class MovieLens1M(ListedSource):
    """MovieLens-1M."""

    card: ClassVar[Card] = Card(
        name="ml-1m",
        title="MovieLens 1M",
        url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        licence=MovieLens100K.card.licence,
        citation=MovieLens100K.card.citation,
        users=6040,
        items=3706,
        interactions=1_000_209,
    )
    packed: ClassVar[Published] = Published(card.url, "md5:c4d9eecfca2ab87c1945afe126590906")
    names: ClassVar[tuple[str, ...]] = ("ratings.dat", "users.dat", "movies.dat")

    @property
    def at_hand(self) -> bool:
        """See `Source.at_hand`."""
        return archive_place(self.card, self.packed).is_file()

    def load(self, data_dir: Path | None = None) -> Dataset:
        """Read the official files; see `Source.load`."""
        ratings, users, films = archive(self.card, self.packed, self.names, data_dir).values()
        table = parse(ratings, _layout("user", "item", "rating", "timestamp"))
        table = table.filled("user", "item").numeric("rating")
        rows, bad_rows = with_times(table, "timestamp").good(self.on_bad_row)
        profiles, bad_users = self._profiles(users)
        items, bad_films = self._items(films)
        bad = bad_rows + bad_users + bad_films
        read = len(table.frame)
        return viewers(self, rows, profiles, items, bad, read)

    def describe(self, profile: Mapping[str, str]) -> str:
        """See `Source.describe`."""
        return person(profile)

    def _profiles(self, file: File) -> tuple[Profiles, int]:
        table = parse(file, _layout("user", "gender", "age", "occupation", "zip"))
        table = table.filled("user").unique("user").among("gender", GENDERS).among("age", _AGES)
        rows, bad = table.among("occupation", _OCCUPATIONS).good(self.on_bad_row)
        words = {"age": _AGES, "gender": GENDERS, "occupation": _OCCUPATIONS}
        columns = (pl.col(name).replace_strict(codes) for name, codes in words.items())
        return profiles_of(rows.select("user", *columns)), bad

    def _items(self, file: File) -> tuple[Items, int]:
        table = parse(file, _layout("item", "title", "genres")).filled("item", "title")
        rows, bad = table.unique("item").good(self.on_bad_row)
        films = ((item, raw, tuple(genre.split("|"))) for item, raw, genre in rows.iter_rows())
        return films_of(films), bad
