"""Parquet files with types give what their text would, and are left to it where one must look."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.sources import _table_rows, table
from ufgraphfr.data.sources.table import TableSource

Change = Callable[[pl.DataFrame], pl.DataFrame]
BEGIN = datetime(2024, 1, 1)


def likes(rows: int = 400) -> pl.DataFrame:
    """Repeated pairs, ties in time, users with fewer than three items."""
    random = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "user": random.geometric(0.1, rows),
            "item": random.integers(0, 30, rows),
            "timestamp": 1_600_000_000 + random.integers(0, 50, rows),
            "rating": (random.integers(1, 11, rows) / 2).astype(np.float32),
        }
    )


def written(folder: Path, frame: pl.DataFrame) -> Path:
    """In two files of one folder."""
    (folder / "likes").mkdir()
    for number, part in enumerate((frame[:150], frame[150:])):
        part.write_parquet(folder / "likes" / f"{number}.parquet")
    return folder


def both(
    folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: object
) -> tuple[Dataset, Dataset]:
    """The data set by types, which must do, and by text."""
    seen = []

    def watched(*arguments: object) -> object:
        seen.append(_table_rows.typed_rows(*arguments))
        return seen[-1]

    source = TableSource(interactions="likes", **settings)
    with monkeypatch.context() as patched:
        patched.setattr(table, "typed_rows", watched)
        typed = source.load(folder)
    assert seen[0] is not None
    with monkeypatch.context() as patched:
        patched.setattr(table, "typed_rows", lambda *_: None)
        return typed, source.load(folder)


CHANGES: dict[str, Change] = {
    "numbers": lambda rows: rows,
    "text": lambda rows: rows.with_columns(pl.format("u {}", "user"), pl.format("{}.5", "item")),
    "dates": lambda rows: rows.with_columns(
        timestamp=BEGIN + (pl.col("timestamp") - 1_600_000_000) * timedelta(days=1)
    ),
    "days": lambda rows: rows.with_columns(
        timestamp=(BEGIN + (pl.col("timestamp") - 1_600_000_000) * timedelta(days=1)).cast(pl.Date)
    ),
    "no times": lambda rows: rows.drop("timestamp"),
    "small": lambda rows: rows.cast({"user": pl.UInt8, "item": pl.Int16, "rating": pl.Float64}),
}


@pytest.mark.parametrize("settings", [{}, {"min_rating": 2.5, "k_core": 4}, {"file_order": True}])
@pytest.mark.parametrize("change", CHANGES)
def test_types_give_what_text_gives(
    change: str, settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path, CHANGES[change](likes()))
    typed, text = both(folder, monkeypatch, **settings)
    assert typed.digest == text.digest
    assert typed.sha256 == text.sha256
    for name in ("cleaning", "notes", "rows_read", "ratings"):
        assert getattr(typed, name) == getattr(text, name)
    assert typed.users.names == text.users.names
    assert typed.untrained.names == text.untrained.names
    assert typed.untrained.names
    for user in typed.untrained.names:
        assert typed.untrained.history(user) == text.untrained.history(user)


@pytest.mark.slow
def test_the_same_some_rows_at_a_time_and_in_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path, likes())
    whole = TableSource(interactions="likes").load(folder)
    for place in ("core.mapped", "data.row_blocks", "data.coded", "data.typed"):
        monkeypatch.setattr(f"ufgraphfr.{place}.ROWS_AT_ONCE", 37)
    monkeypatch.setattr("ufgraphfr.core.mapped.LARGE", 64)
    monkeypatch.setattr("ufgraphfr.data.coded.LARGE", 64)
    some = TableSource(interactions="likes").load(folder)
    assert some.interactions.user.dtype == np.int32
    assert some.digest == whole.digest


UNCLEAR: dict[str, Change] = {
    "nobody": lambda rows: rows.with_columns(user=pl.when(pl.col("user") > 2).then("user")),
    "no item": lambda rows: rows.with_columns(item=pl.format("{}", "item").replace("7", " ")),
    "spaces": lambda rows: rows.with_columns(item=pl.format(" {}", "item")),
    "decimals": lambda rows: rows.with_columns(user=pl.format("{}.0", "user")),
    "fractions": lambda rows: rows.cast({"user": pl.Float64}),
    "two units": lambda rows: rows.with_columns(
        timestamp=pl.col("timestamp") * pl.when(pl.col("item") == 3).then(1000).otherwise(1)
    ),
    "no number": lambda rows: rows.with_columns(rating=pl.lit(float("nan"))),
    "nothing": lambda rows: rows[:0],
}


@pytest.mark.parametrize("change", UNCLEAR)
def test_what_wants_a_look_is_left_to_the_text(change: str, tmp_path: Path) -> None:
    folder = written(tmp_path, UNCLEAR[change](likes()))
    names = ("likes/0.parquet", "likes/1.parquet")
    columns = TableSource(interactions="likes").columns
    assert _table_rows.typed_rows(folder, names, columns, None) is None


def test_files_of_several_types_are_left_to_the_text(tmp_path: Path) -> None:
    folder = written(tmp_path, likes())
    likes().cast({"user": pl.String}).write_parquet(folder / "likes" / "1.parquet")
    names = ("likes/0.parquet", "likes/1.parquet")
    columns = TableSource(interactions="likes").columns
    assert _table_rows.typed_rows(folder, names, columns, None) is None
    assert _table_rows.typed_rows(folder, names[:1], columns, None) is not None


def test_no_rating_is_enough(tmp_path: Path) -> None:
    folder = written(tmp_path, likes())
    with pytest.raises(InputError, match="all 400 rows have lower ratings"):
        TableSource(interactions="likes", min_rating=6).load(folder)
