"""MovieLens-1M: codes become words; the archive is fetched and checked."""

import hashlib
import zipfile

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.fetch import Published
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.data.sources.ml_1m import MovieLens1M


def test_codes_become_words(write):
    data = SOURCES.build("ml-1m", {}, "[data]").load(write("ml-1m").folder)
    assert data.users.texts == (
        "A man under 18 years old who is a K-12 student.",
        "A woman 56 or more years old who is self-employed.",
        "A man 25 to 34 years old who works in customer service.",
    )
    assert data.catalogue.titles[:3] == (
        "Kolyma (1996)",
        "The Usual Visitors (1995)",
        "La Vérité (The Truth) (1960)",
    )
    assert data.catalogue.features["genre"][1] == ("Crime", "Thriller")


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("9::M::24::3::1", "age = '24' is none of 1, 18"),
        ("9::M::25::21::1", "occupation = '21' is none of 0, 1"),
        ("9::X::25::3::1", "gender = 'X'"),
    ],
)
def test_unknown_codes_are_named(write, row, rule):
    written = write("ml-1m")
    path = written.folder / "users.dat"
    path.write_text(path.read_text() + row + "\n")
    with pytest.raises(InputError, match=rf"users\.dat, line 5: {rule}"):
        MovieLens1M().load(written.folder)


def test_fetched_from_its_owner(write, server_folder, site, cache):
    written = write("ml-1m")
    path = server_folder / "ml-1m.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for file in written.folder.iterdir():
            packed.write(file, f"ml-1m/{file.name}")
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    facts = {"packed": Published(f"{site}/ml-1m.zip", f"md5:{digest}"), "__module__": __name__}
    source = type("PublishedHere", (MovieLens1M,), facts)()
    assert not source.at_hand
    assert source.load().sha256 == MovieLens1M().load(written.folder).sha256
    assert (cache / "datasets" / "ml-1m" / "ml-1m.zip").is_file()
    assert source.at_hand
