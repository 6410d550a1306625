"""Generated files in the layout of each data set; a new kind of source adds a writer here."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ufgraphfr.data.sources import SOURCES

PEOPLE = ("700001", "700002", "700003", "700004")
FILMS = ("800001", "800002", "800003", "800004", "800005")
ZIP = "Q7Z9X"
# the last person has two interactions, which is too few; the first one repeats a pair
PAIRS = (
    (0, 0),
    (1, 1),
    (0, 1),
    (1, 2),
    (2, 4),
    (0, 2),
    (1, 0),
    (2, 0),
    (0, 1),
    (3, 0),
    (2, 1),
    (3, 1),
)


@dataclass(frozen=True)
class Written:
    """A generated data set.

    ``first_line`` is the line of the first interaction in ``main``; ``spoilt`` holds lines that
    cannot be used, by what is wrong with them.
    """

    kind: str
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    main: str = ""
    first_line: int = 1
    spoilt: dict[str, str] = field(default_factory=dict)
    counts: tuple[int, int, int] = (3, 4, 9)
    repeated: int = 1
    dropped: int = 1

    def spoil(self, line: int, text: str) -> None:
        """Replace a line (counted from 1) of the interactions."""
        path = self.folder / self.main
        lines = path.read_text("latin-1").split("\n")
        lines[line - 1] = text
        path.write_text("\n".join(lines), "latin-1")


def lines(path: Path, rows: list[str], encoding: str = "latin-1") -> None:
    path.write_text("".join(f"{row}\n" for row in rows), encoding)


def ratings(separator: str) -> list[str]:
    return [
        separator.join((PEOPLE[user], FILMS[item], "4", str(900 + place)))
        for place, (user, item) in enumerate(PAIRS)
    ]


def spoilt(separator: str) -> dict[str, str]:
    return {
        "fields": "nonsense",
        "no item": separator.join((PEOPLE[0], "", "4", "950")),
        "time": separator.join((PEOPLE[0], FILMS[0], "4", "yesterday")),
        "rating": separator.join((PEOPLE[0], FILMS[0], "good", "950")),
    }


TITLES = ("Kolyma (1996)", "Usual Visitors, The (1995)", "Vérité, La (Truth, The) (1960)")
FLAGS = {0: (5,), 1: (6, 16), 2: (8,)}
GENRES = (("Comedy",), ("Crime", "Thriller"), ("Drama",))
TRADES = ("technician", "other", "educator", "none")


def write_ml_100k(folder: Path) -> Written:
    lines(folder / "u.data", ratings("\t"))
    people = [f"{p}|{8 + i}|{'MF'[i % 2]}|{TRADES[i]}|{ZIP}" for i, p in enumerate(PEOPLE)]
    lines(folder / "u.user", people)
    films = []
    for i, film in enumerate(FILMS):
        flags = "|".join("1" if g in FLAGS.get(i, (0,)) else "0" for g in range(19))
        title = TITLES[i] if i < len(TITLES) else "unknown"
        films.append(f"{film}|{title}|01-Jan-1995||http://example.org|{flags}")
    lines(folder / "u.item", films)
    return Written("ml-100k", folder, main="u.data", spoilt=spoilt("\t"))


def write_ml_100k_atomic(folder: Path) -> Written:
    """The same data as `write_ml_100k`, as RecBole writes it."""
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    lines(folder / "ml-100k.inter", [header, *ratings("\t")], "utf-8")
    header = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token"
    people = [f"{p}\t{8 + i}\t{'MF'[i % 2]}\t{TRADES[i]}\t{ZIP}" for i, p in enumerate(PEOPLE)]
    lines(folder / "ml-100k.user", [header, *people], "utf-8")
    films = ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"]
    for i, film in enumerate(FILMS):
        if i < len(TITLES):
            name, year = TITLES[i][:-7], TITLES[i][-5:-1]
            films.append(f"{film}\t{name}\t{year}\t{' '.join(GENRES[i])}")
        else:
            films.append(f"{film}\tunkonwn\tunkonwn\tunknown")
    lines(folder / "ml-100k.item", films, "utf-8")
    return Written("ml-100k", folder, main="ml-100k.inter", first_line=2, spoilt=spoilt("\t"))


def write_ml_1m(folder: Path) -> Written:
    lines(folder / "ratings.dat", ratings("::"))
    codes = (("1", "10"), ("56", "16"), ("25", "5"), ("18", "0"))
    people = [
        f"{p}::{'MF'[i % 2]}::{codes[i][0]}::{codes[i][1]}::{ZIP}" for i, p in enumerate(PEOPLE)
    ]
    lines(folder / "users.dat", people)
    films = [f"{f}::{t}::{'|'.join(g)}" for f, t, g in zip(FILMS, TITLES, GENRES, strict=False)]
    lines(folder / "movies.dat", films)
    return Written("ml-1m", folder, main="ratings.dat", spoilt=spoilt("::"))


def write_lastfm(folder: Path) -> Written:
    rows = ["userID\tartistID\ttagID\tday\tmonth\tyear"]
    rows += [
        f"{PEOPLE[user]}\t{FILMS[item]}\t13\t1\t{1 + place % 12}\t2009"
        for place, (user, item) in enumerate(PAIRS)
    ]
    lines(folder / "user_taggedartists.dat", rows)
    artists = [f"{film}\tBand {'ABCDE'[i]}\thttp://x\thttp://y" for i, film in enumerate(FILMS)]
    lines(folder / "artists.dat", ["id\tname\turl\tpictureURL", *artists])
    wrong = {
        "fields": "nonsense",
        "no artist": f"{PEOPLE[0]}\t\t13\t1\t4\t2009",
        "time": f"{PEOPLE[0]}\t{FILMS[0]}\t13\t1\t13\t2009",
    }
    return Written("lastfm-2k", folder, {}, "user_taggedartists.dat", 2, wrong)


def write_hetrec(folder: Path) -> Written:
    header = "userID\tmovieID\trating\ttimestamp"
    lines(folder / "user_ratedmovies-timestamps.dat", [header, *ratings("\t")])
    films = ["id\ttitle\timdbID\tspanishTitle\timdbPictureURL\tyear\trtID"]
    films += [
        f"{film}\t{title[:-7]}\t1\tTítulo\thttp://x\t{title[-5:-1]}\tr"
        for film, title in zip(FILMS, TITLES, strict=False)
    ]
    lines(folder / "movies.dat", films)
    genres = [f"{f}\t{g}" for f, group in zip(FILMS, GENRES, strict=False) for g in group]
    lines(folder / "movie_genres.dat", ["movieID\tgenre", *genres])
    main = "user_ratedmovies-timestamps.dat"
    return Written("hetrec2011-movielens-2k", folder, {}, main, 2, spoilt("\t"))


def write_table(folder: Path) -> Written:
    lines(folder / "likes.csv", ["user,item,rating,timestamp", *ratings(",")], "utf-8")
    people = [f"{p},{'north' if i % 2 else 'south'}" for i, p in enumerate(PEOPLE)]
    lines(folder / "people.csv", ["user,region", *people], "utf-8")
    things = [f'{film},"Thing, number {"ABCDE"[i]}",new|cheap' for i, film in enumerate(FILMS)]
    lines(folder / "things.csv", ["item,title,tag", *things], "utf-8")
    settings = {"interactions": "likes.csv", "users": "people.csv", "items": "things.csv"}
    return Written("table", folder, settings, "likes.csv", 2, spoilt(","))


def write_synthetic(folder: Path) -> Written:
    settings = {"users": 12, "items": 20, "groups": 2, "interactions": 5}
    return Written("synthetic", folder, settings, counts=(12, 20, 60), repeated=0, dropped=0)


WRITERS: dict[str, Callable[[Path], Written]] = {
    "ml-100k": write_ml_100k,
    "atomic": write_ml_100k_atomic,
    "ml-1m": write_ml_1m,
    "lastfm-2k": write_lastfm,
    "hetrec2011-movielens-2k": write_hetrec,
    "table": write_table,
    "synthetic": write_synthetic,
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Written]:
    """Writes a data set of a kind (or ``atomic``) into a new folder."""

    def make(kind: str) -> Written:
        if kind not in WRITERS:
            pytest.fail(f"add a writer for '{kind}' to {Path(__file__).name}")
        folder = tmp_path / kind
        folder.mkdir()
        return WRITERS[kind](folder)

    return make


@pytest.fixture(params=SOURCES.kinds)
def written(request: pytest.FixtureRequest, write: Callable[[str], Written]) -> Written:
    """A generated data set of every kind there is."""
    return write(request.param)
