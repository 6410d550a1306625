"""HetRec 2011 MovieLens-2K: 2,113 people, 10,109 films, 855,598 ratings with time, no profiles.

I. Cantador, P. Brusilovsky and T. Kuflik, "2nd Workshop on Information Heterogeneity and Fusion in
Recommender Systems", RecSys 2011. No digest of the archive is published, so it is not fetched:
unpack it yourself and name the folder.
"""

from pathlib import Path
from typing import ClassVar

import polars as pl

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.assemble import Items, assemble
from ufgraphfr.data.dataset import Card, Dataset
from ufgraphfr.data.fetch import by_hand
from ufgraphfr.data.files import File, read_all
from ufgraphfr.data.sources.base import Source
from ufgraphfr.data.tables import Layout, parse
from ufgraphfr.data.timestamps import with_times
from ufgraphfr.data.titles import film_title

_VIEWER = "A film viewer."
_LAYOUT = Layout(encoding="latin-1")


class HetRecMovieLens2K(Source):
    """HetRec 2011 MovieLens-2K."""

    card: ClassVar[Card] = Card(
        name="hetrec2011-movielens-2k",
        title="HetRec 2011 MovieLens-2K",
        url="https://files.grouplens.org/datasets/hetrec2011/hetrec2011-movielens-2k-v2.zip",
        licence="made available for non-commercial use; not to be redistributed.",
        citation=(
            "I. Cantador, P. Brusilovsky and T. Kuflik. 2011. 2nd Workshop on Information "
            "Heterogeneity and Fusion in Recommender Systems. RecSys 2011."
        ),
        users=2113,
        items=10_109,
        interactions=855_598,
    )
    names: ClassVar[tuple[str, ...]] = (
        "user_ratedmovies-timestamps.dat",
        "movies.dat",
        "movie_genres.dat",
    )

    def load(self, data_dir: Path | None = None) -> Dataset:
        """Read the official files; see `Source.load`."""
        if data_dir is None:
            raise InputError(
                f"{self.card.title} is not fetched, for want of a published digest. "
                f"{by_hand(self.card.url)}"
            )
        ratings, films, genres = read_all(data_dir, self.names).values()
        table = parse(ratings, _LAYOUT).need(("userID", "movieID", "rating", "timestamp"))
        table = table.filled("userID", "movieID").numeric("rating")
        rows, bad_rows = with_times(table, "timestamp").good(self.on_bad_row)
        items, bad_films = self._items(films, genres)
        interactions = rows.rename({"userID": "user", "movieID": "item"})
        return assemble(
            self.card,
            interactions,
            profiles={},
            describe=lambda _: _VIEWER,
            unknown=_VIEWER,
            items=items,
            bad_rows=bad_rows + bad_films,
        )

    def _items(self, films: File, genres: File) -> tuple[Items, int]:
        table = parse(films, _LAYOUT).need(("id", "title", "year")).filled("id", "title")
        rows, bad_films = table.unique("id").good(self.on_bad_row)
        dated = {
            film: film_title(f"{title} ({year})")
            for film, title, year in rows.select("id", "title", "year").iter_rows()
        }
        table = parse(genres, _LAYOUT).need(("movieID", "genre")).filled("movieID", "genre")
        rows, bad_genres = table.good(self.on_bad_row)
        by_film = rows.group_by("movieID", maintain_order=True).agg(pl.col("genre"))
        features = {
            "genre": {film: tuple(names) for film, names in by_film.iter_rows()},
            "year": {film: (year,) if year else () for film, (_, year) in dated.items()},
        }
        titles = {film: title for film, (title, _) in dated.items()}
        return Items(titles, features), bad_films + bad_genres
