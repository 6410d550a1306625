"""MovieLens-1M: 6,040 people, 3,706 rated films, 1,000,209 ratings with time; age, gender, trade.

F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015.
Ages and occupations are codes in the files and words here, as the owner's README translates them.
"""

from pathlib import Path
from typing import ClassVar

from ufgraphfr.data import templates
from ufgraphfr.data.assemble import Items, assemble
from ufgraphfr.data.dataset import Card, Dataset
from ufgraphfr.data.fetch import Published, archive
from ufgraphfr.data.files import File, read_all
from ufgraphfr.data.sources.base import Source
from ufgraphfr.data.tables import Layout, parse
from ufgraphfr.data.timestamps import with_times
from ufgraphfr.data.titles import film_title

_GENDERS = {"M": "male", "F": "female"}
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
_OCCUPATIONS = (
    "other", "academic or educator", "artist", "clerical or administrative worker",
    "college or graduate student", "customer service", "doctor or health care worker",
    "executive or manager", "farmer", "homemaker", "K-12 student", "lawyer", "programmer",
    "retired", "sales or marketing worker", "scientist", "self-employed", "technician or engineer",
    "tradesman or craftsman", "unemployed", "writer",
)
# fmt: on


def _layout(*columns: str) -> Layout:
    return Layout(columns, "::", "latin-1")


class MovieLens1M(Source):
    """MovieLens-1M."""

    card: ClassVar[Card] = Card(
        name="ml-1m",
        title="MovieLens 1M",
        url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        licence=(
            "for research; no redistribution without separate permission and no commercial use "
            "without permission of the GroupLens Research Project, University of Minnesota."
        ),
        citation=(
            "F. M. Harper and J. A. Konstan. 2015. The MovieLens Datasets: History and Context. "
            "ACM TiiS 5(4), 19. doi:10.1145/2827872"
        ),
        users=6040,
        items=3706,
        interactions=1_000_209,
    )
    packed: ClassVar[Published] = Published(card.url, "md5:c4d9eecfca2ab87c1945afe126590906")
    names: ClassVar[tuple[str, ...]] = ("ratings.dat", "users.dat", "movies.dat")

    def load(self, data_dir: Path | None = None) -> Dataset:
        """Read the official files; see `Source.load`."""
        if data_dir is None:
            files = archive(self.card, self.packed, self.names)
        else:
            files = read_all(data_dir, self.names)
        table = parse(files["ratings.dat"], _layout("user", "item", "rating", "timestamp"))
        table = table.filled("user", "item").numeric("rating")
        rows, bad_rows = with_times(table, "timestamp").good(self.on_bad_row)
        profiles, bad_users = self._profiles(files["users.dat"])
        items, bad_films = self._items(files["movies.dat"])
        return assemble(
            self.card,
            rows,
            profiles,
            templates.person,
            "A film viewer.",
            items,
            bad_rows + bad_users + bad_films,
        )

    def _profiles(self, file: File) -> tuple[dict[str, dict[str, str]], int]:
        table = parse(file, _layout("user", "gender", "age", "occupation", "zip"))
        table = table.filled("user").unique("user").among("gender", _GENDERS).among("age", _AGES)
        codes = [str(code) for code in range(len(_OCCUPATIONS))]
        rows, bad = table.among("occupation", codes).good(self.on_bad_row)
        return {
            row["user"]: {
                "age": _AGES[row["age"]],
                "gender": _GENDERS[row["gender"]],
                "occupation": _OCCUPATIONS[int(row["occupation"])],
            }
            for row in rows.iter_rows(named=True)
        }, bad

    def _items(self, file: File) -> tuple[Items, int]:
        table = parse(file, _layout("item", "title", "genres")).filled("item", "title")
        rows, bad = table.unique("item").good(self.on_bad_row)
        titles, years, genres = {}, {}, {}
        for item, raw, genre in rows.iter_rows():
            titles[item], year = film_title(raw)
            years[item] = (year,) if year else ()
            genres[item] = tuple(genre.split("|"))
        return Items(titles, {"genre": genres, "year": years}), bad
