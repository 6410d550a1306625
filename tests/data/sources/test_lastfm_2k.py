"""Last.fm-2K: one row a pair, at its first date."""

from datetime import UTC, datetime

from ufgraphfr.data.sources import SOURCES


def test_tags_of_one_artist_are_one_interaction_at_the_first_date(write):
    written = write("lastfm-2k")
    path = written.folder / "user_taggedartists.dat"
    rows = [(1, 51, 3, 5), (1, 51, 9, 2), (1, 52, 1, 1), (1, 53, 1, 1), (1, 51, 4, 7)]
    text = "".join(
        f"{user}\t{artist}\t{tag}\t1\t{month}\t2009\n" for user, artist, tag, month in rows
    )
    path.write_text("userID\tartistID\ttagID\tday\tmonth\tyear\n" + text)
    (written.folder / "artists.dat").write_text("id\tname\n52\tBand Q\n")
    data = SOURCES.build("lastfm-2k", {}, "[data]").load(written.folder)
    assert data.catalogue.items == ("51", "52", "53")
    assert data.cleaning.repeated_pairs == 2
    assert data.interactions.timestamp is not None
    first = datetime(2009, 2, 1, tzinfo=UTC)
    assert data.interactions.timestamp[0] == int(first.timestamp()) * 1_000_000
    assert not data.card.sequential
    assert data.catalogue.titles == ("51", "Band Q", "53")


def test_nothing_of_the_tags_reaches_the_text(write):
    written = write("lastfm-2k")
    data = SOURCES.build("lastfm-2k", {}, "[data]").load(written.folder)
    assert set(data.users.texts) == {"A listener of music."}
    assert data.catalogue.titles[0] == "Band A"
