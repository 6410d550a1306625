"""A large table is read once: the next run maps what the first has made of it."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from ufgraphfr.core.folders import cache_folder
from ufgraphfr.data.sources import _kept_rows
from ufgraphfr.data.sources.table import TableSource


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(_kept_rows, "LARGE", 0)
    monkeypatch.setenv("UFGRAPHFR_CACHE", str(tmp_path / "cache"))


def written(folder: Path, kind: str, extra: str = "") -> str:
    """A table of 5 users with 6 items each, with times and ratings, and a bad row at its end."""
    rows = [
        (f"u{u}", f"i{(u * 3 + n) % 9}", n, 1 + (u + n) % 5) for u in range(5) for n in range(6)
    ]
    frame = pl.DataFrame(rows, ("user", "item", "timestamp", "rating"), orient="row")
    name = f"rows.{kind}"
    if kind == "parquet":
        (
            frame.vstack(frame[:1].with_columns(user=pl.lit(extra))) if extra else frame
        ).write_parquet(folder / name)
    else:
        frame.write_csv(folder / name)
        with (folder / name).open("a") as file:
            file.write(f"{extra},i1,3,5\n")
    return name


def reads(monkeypatch) -> list[Path]:
    """The folders of the files that are read from now on."""
    found, rows = list[Path](), TableSource._rows
    monkeypatch.setattr(TableSource, "_rows", lambda own, at: (found.append(at), rows(own, at))[1])
    return found


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_second_run_reads_nothing_and_has_the_same_data(
    tmp_path, monkeypatch, caplog, kind: str
) -> None:
    name, read = written(tmp_path, kind), reads(monkeypatch)
    source = TableSource(interactions=name, on_bad_row="skip", min_rating=2.0)
    caplog.set_level(logging.INFO)
    plain = source.load(tmp_path)
    first, again = (source.load_again(tmp_path) for _ in range(2))
    assert len(read) == 2
    for data in (first, again):
        assert (data.digest, data.users) == (plain.digest, plain.users)
        assert (data.cleaning, data.notes) == (plain.cleaning, plain.notes)
        assert (data.ratings, data.rows_read) == (plain.ratings, plain.rows_read)
        assert data.untrained.names == plain.untrained.names
    assert "kept in" in caplog.text
    assert "were read before" in caplog.text
    # what does not change how rows are read needs no other reading, nor does another place
    moved = tmp_path / "moved"
    moved.mkdir()
    os.rename(tmp_path / name, moved / name)
    other = source.model_copy(update={"min_user": 4, "name": "other"})
    other.load_again(moved)
    assert len(read) == 2


def test_other_content_or_another_way_of_reading_is_read(tmp_path, monkeypatch) -> None:
    name, read = written(tmp_path, "parquet"), reads(monkeypatch)
    source = TableSource(interactions=name)
    before, stat = source.load_again(tmp_path), (tmp_path / name).stat()
    written(tmp_path, "parquet", extra="u9")
    os.utime(tmp_path / name, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = source.load_again(tmp_path)
    assert len(read) == 2
    assert "u9" in after.untrained.names - before.untrained.names
    source.model_copy(update={"min_rating": 3.0}).load_again(tmp_path)
    assert len(read) == 3


def test_what_is_damaged_or_half_is_read_again(tmp_path, monkeypatch) -> None:
    source, read = TableSource(interactions=written(tmp_path, "csv"), on_bad_row="skip"), []
    first = source.load_again(tmp_path)
    (kept,) = cache_folder("tables").iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    read = reads(monkeypatch)
    for damage in ("ufgraphfr-column-item", "facts.json", "users"):
        (kept / damage).write_bytes((kept / damage).read_bytes()[:-3] + b"abc")
        assert source.load_again(tmp_path).digest == first.digest
    assert len(read) == 3


@pytest.mark.slow
def test_a_kill_leaves_no_half_of_a_table(tmp_path) -> None:
    """The process is killed as it renames: nothing is at the place, and the next run writes it."""
    name = written(tmp_path, "parquet")
    code = f"""
import os, signal
from pathlib import Path
from ufgraphfr.data.sources import _kept_rows
from ufgraphfr.data.sources.table import TableSource
_kept_rows.LARGE = 0
os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
TableSource(interactions={name!r}).load_again(Path({str(tmp_path)!r}))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    left = list(cache_folder("tables").iterdir())
    assert [path.name.startswith(".partial-") for path in left] == [True]
    source = TableSource(interactions=name)
    source.load_again(tmp_path)
    assert len(list(cache_folder("tables").iterdir())) == 2
    # what was left is removed a day later, when another table is kept
    old = time.time() - 2 * 24 * 3600
    os.utime(left[0], (old, old))
    source.model_copy(update={"min_rating": 1.0}).load_again(tmp_path)
    assert not left[0].exists()


def test_of_two_processes_the_first_is_kept_and_the_second_goes_on(tmp_path) -> None:
    source = TableSource(interactions=written(tmp_path, "parquet"))
    source.load_again(tmp_path)
    (kept,) = cache_folder("tables").iterdir()
    before = kept.stat().st_ino
    _kept_rows._keep(kept, source._rows(tmp_path))
    assert [path.stat().st_ino for path in cache_folder("tables").iterdir()] == [before]


def test_few_tables_are_kept_those_used_last(tmp_path) -> None:
    source = TableSource(interactions=written(tmp_path, "parquet"))
    for least in range(1, _kept_rows.MOST + 3):
        source.model_copy(update={"min_rating": least / 10}).load_again(tmp_path)
    assert len(list(cache_folder("tables").iterdir())) == _kept_rows.MOST


def test_a_small_table_is_not_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(_kept_rows, "LARGE", 2**25)
    TableSource(interactions=written(tmp_path, "parquet")).load_again(tmp_path)
    assert not cache_folder("tables").exists()
