"""HetRec 2011 Last.fm-2K: who tagged which artist, and in which month.

I. Cantador, P. Brusilovsky and T. Kuflik, "2nd Workshop on Information Heterogeneity and Fusion in
Recommender Systems", RecSys 2011.

The file has one row for each (user, artist, tag). Published results often keep those rows, so that
the test artist of most users is in their training rows too; here each (user, artist) pair counts
once, at its first date. Dates are months and most users' last ones tie, so the order says little.

The data has no profiles. Sentences made of a user's tags would tell of held-out artists unless
they were made after the split, so every user gets the same neutral sentence.
"""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import polars as pl

from ufgraphfr.data.assemble import Items, assemble
from ufgraphfr.data.dataset import Card, Dataset
from ufgraphfr.data.fetch import Published, archive, archive_place
from ufgraphfr.data.files import File
from ufgraphfr.data.interactions import Selection
from ufgraphfr.data.parsing import parse
from ufgraphfr.data.sources._listed import ListedSource
from ufgraphfr.data.tables import Layout, Table
from ufgraphfr.data.timestamps import with_times

_LISTENER = "A listener of music."


class LastFM2K(ListedSource):
    """HetRec 2011 Last.fm-2K."""

    card: ClassVar[Card] = Card(
        name="lastfm-2k",
        title="HetRec 2011 Last.fm-2K",
        url="https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip",
        licence="made available for non-commercial use; commercial users should contact Last.fm.",
        citation=(
            "Last.fm, http://www.lastfm.com; I. Cantador, P. Brusilovsky and T. Kuflik. 2011. 2nd "
            "Workshop on Information Heterogeneity and Fusion in Recommender Systems. RecSys 2011."
        ),
        users=1484,
        items=12_391,
        interactions=70_500,
        sequential=False,
    )
    packed: ClassVar[Published] = Published(
        card.url, "sha256:6738f48195667ff03caaab4d32ca9a3133d8cc026b7c3cdaf6ce1010e913c59c"
    )
    names: ClassVar[tuple[str, ...]] = ("user_taggedartists.dat", "artists.dat")

    @property
    def at_hand(self) -> bool:
        """See `Source.at_hand`."""
        return archive_place(self.card, self.packed).is_file()

    def load(self, data_dir: Path | None = None) -> Dataset:
        """Read the official files; see `Source.load`."""
        tagged, artists = archive(self.card, self.packed, self.names, data_dir).values()
        tags = _tagged(tagged)
        rows, bad_rows = tags.good(self.on_bad_row)
        once = rows.select(
            pl.col("userID").alias("user"),
            pl.col("artistID").alias("item"),
            pl.col("timestamp").min().over("userID", "artistID"),
        )
        table = parse(artists, Layout()).need(("id", "name")).filled("id", "name").unique("id")
        named, bad_artists = table.good(self.on_bad_row)
        items = Items(dict(named.select("id", "name").iter_rows()))
        return assemble(
            self.card,
            once,
            {},
            lambda _: _LISTENER,
            _LISTENER,
            items,
            bad_rows + bad_artists,
            selection=Selection(items=self.all_of(items)),
            rows_read=len(tags.frame),
        )


def _tagged(file: File) -> Table:
    names = ("userID", "artistID", "tagID", "day", "month", "year")
    table = parse(file, Layout()).need(names).filled("userID", "artistID")
    parts = [pl.col("year"), *(pl.col(name).str.zfill(2) for name in ("month", "day"))]
    date = pl.concat_str(parts, separator="-").alias("timestamp")
    return with_times(replace(table, frame=table.frame.with_columns(date)), "timestamp")
