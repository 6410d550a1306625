"""What every data set promises, checked on generated files in its layout."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.testing import SOURCE_CONTRACTS
from ufgraphfr.testing.sources import Loading


def load(written, **settings) -> Dataset:
    source = SOURCES.build(written.kind, written.settings | settings, "[data]")
    return source.load(written.folder)


@pytest.fixture(params=[kind for kind in SOURCES.kinds if kind != "synthetic"])
def from_files(request, write):
    return write(request.param)


@pytest.mark.parametrize("contract", SOURCE_CONTRACTS, ids=lambda each: each.__name__)
def test_contract(contract: Callable[[Loading], None], written) -> None:
    source = SOURCES.build(written.kind, written.settings, "[data]")
    folder = None if written.kind == "synthetic" else written.folder
    contract(Loading(source, folder, written.counts, frozenset({"Q7Z9X"})))


def test_card_names_the_kind():
    for kind in SOURCES.kinds:
        assert SOURCES.find(kind).card.name == kind


def test_what_was_left_out_is_counted(written):
    data = load(written)
    assert data.cleaning.repeated_pairs == written.repeated
    assert data.cleaning.dropped_users == written.dropped
    assert data.cleaning.bad_rows == 0
    assert data.interactions.timestamp is not None


def test_bad_rows_stop_the_load_with_file_and_line(from_files):
    for line, text in enumerate(from_files.spoilt.values(), from_files.first_line):
        path = from_files.folder / from_files.main
        before = path.read_bytes()
        from_files.spoil(line, text)
        with pytest.raises(InputError, match=rf"{from_files.main}, line {line}: .*on_bad_row"):
            load(from_files)
        path.write_bytes(before)


def test_bad_rows_are_skipped_and_counted(from_files):
    path = from_files.folder / from_files.main
    good = path.read_bytes()
    rows = "".join(f"{text}\n" for text in from_files.spoilt.values())
    path.write_bytes(good + rows.encode())
    data = load(from_files, on_bad_row="skip")
    assert data.cleaning.bad_rows == len(from_files.spoilt)
    path.write_bytes(good)
    assert data.sha256 == load(from_files).sha256


def test_windows_line_ends_and_empty_lines_do_not_matter(from_files):
    plain = load(from_files)
    path = from_files.folder / from_files.main
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    assert load(from_files).sha256 == plain.sha256


def test_under_a_budget_which_items_there_are_follows_from_nobodys_rows(from_files):
    source = SOURCES.build(from_files.kind, from_files.settings, "[data]").under_budget()
    assert not source.from_rows
    everything = source.load(from_files.folder)
    path = from_files.folder / from_files.main
    rows = path.read_text("latin-1").splitlines(keepends=True)
    path.write_text("".join(row for row in rows if "700001" not in row), "latin-1")
    fewer = source.load(from_files.folder)
    assert len(fewer.interactions.user) < len(everything.interactions.user)
    assert fewer.catalogue == everything.catalogue
    assert "800001" in fewer.catalogue.items


def test_damaged_archive_is_named(from_files):
    path = from_files.folder / from_files.main
    path.with_name(f"{path.name}.gz").write_bytes(b"this is not gzip")
    path.unlink()
    with pytest.raises(InputError, match="cannot read"):
        load(from_files)


def test_empty_file_is_named(from_files):
    (from_files.folder / from_files.main).write_text("")
    with pytest.raises(InputError, match="holds no rows"):
        load(from_files)


def test_missing_folder_is_named(from_files, tmp_path: Path):
    with pytest.raises(InputError, match="there is no folder"):
        load(replace(from_files, folder=tmp_path / "nowhere"))


@pytest.mark.parametrize("kind", ["hetrec2011-movielens-2k", "lastfm-2k", "table"])
def test_a_column_missing_from_the_header_is_named(write, kind):
    written = write(kind)
    path = written.folder / written.main
    header = path.read_text().split("\n")[0]
    column = re.split("[\t,]", header)[1]
    path.write_text(path.read_text().replace(column, "something", 1))
    with pytest.raises(InputError, match=rf"has no column '{column}'.*something"):
        load(written)


@pytest.mark.parametrize(
    ("kind", "people"), [("ml-100k", "u.user"), ("ml-1m", "users.dat"), ("table", "people.csv")]
)
def test_users_without_a_profile_get_a_neutral_sentence(write, caplog, kind, people):
    """Their interactions are kept: the text says nothing rather than something."""
    written = write(kind)
    path = written.folder / people
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    data = load(written)
    assert data.interactions.n_users == written.counts[0]
    assert [bool(profile) for profile in data.users.profiles] == [True, True, False]
    assert data.users.texts[2] in {"A film viewer.", "A user of the catalogue."}
    assert "1 users have no profile" in caplog.text
