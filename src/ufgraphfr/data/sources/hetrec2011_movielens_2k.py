"""HetRec 2011 MovieLens-2K: 2,113 people, 10,109 films, 855,598 ratings with time, no profiles.

I. Cantador, P. Brusilovsky and T. Kuflik, "2nd Workshop on Information Heterogeneity and Fusion in
Recommender Systems", RecSys 2011. No digest of the archive is published, so it is not fetched:
unpack it yourself and name the folder.
"""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import polars as pl

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.assemble import Items, assemble
from ufgraphfr.data.dataset import Card, Dataset
from ufgraphfr.data.fetch import by_hand
from ufgraphfr.data.files import File, read_all
from ufgraphfr.data.interactions import Selection
from ufgraphfr.data.parsing import parse
from ufgraphfr.data.sources._listed import ListedSource
from ufgraphfr.data.sources.ml_100k import films_of
from ufgraphfr.data.tables import Layout
from ufgraphfr.data.timestamps import with_times

_VIEWER = "A film viewer."
_LAYOUT = Layout(encoding="latin-1")


class HetRecMovieLens2K(ListedSource):
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
        read = len(table.frame)
        rows, bad_rows = with_times(table, "timestamp").good(self.on_bad_row)
        rows = rows.rename({"userID": "user", "movieID": "item"})
        items, bad_films = self._items(films, genres)
        bad = bad_rows + bad_films
        return assemble(
            self.card,
            rows,
            {},
            lambda _: _VIEWER,
            _VIEWER,
            items,
            bad,
            selection=Selection(file_order=False, items=self.all_of(items)),
            rows_read=read,
        )

    def _items(self, listed: File, genres: File) -> tuple[Items, int]:
        table = parse(listed, _LAYOUT).need(("id", "title", "year")).filled("id", "title")
        rows, bad_films = table.unique("id").good(self.on_bad_row)
        dated = rows.select("id", pl.format("{} ({})", "title", "year")).iter_rows()
        films = films_of((film, title, ()) for film, title in dated)
        table = parse(genres, _LAYOUT).need(("movieID", "genre")).filled("movieID", "genre")
        rows, bad_genres = table.good(self.on_bad_row)
        by_film = rows.group_by("movieID", maintain_order=True).agg(pl.col("genre"))
        genre = {film: tuple(names) for film, names in by_film.iter_rows()}
        items = replace(films, features={**films.features, "genre": genre})
        return items, bad_films + bad_genres
