"""Rows and columns as data frames, for people who work with them."""

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError, is_disk_full
from ufgraphfr.core.folders import write_atomically

Frame: TypeAlias = pl.DataFrame


def frame_of_rows(rows: Sequence[Mapping[str, Any]]) -> Frame:
    """One row for each mapping; what one of them lacks is null."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pl.DataFrame({name: [row.get(name) for row in rows] for name in names}, strict=False)


def frame_of_columns(columns: Mapping[str, NDArray[Any]]) -> Frame:
    """One column for each array; all have one length."""
    return pl.DataFrame(dict(columns))


LIST_FORMATS = (".parquet", ".csv", ".jsonl")


def write_rows(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write rows that have the same columns, in the format that the file's name says.

    Returns:
        How many.

    Raises:
        InputError: no such format, or the file cannot be written.
    """
    if path.suffix not in LIST_FORMATS:
        raise InputError(f"'{path}': its name must end with one of {', '.join(LIST_FORMATS)}")
    frame = pl.DataFrame(list(rows), infer_schema_length=1)
    buffer = BytesIO()
    if path.suffix == ".parquet":
        frame.write_parquet(buffer)
    elif path.suffix == ".csv":
        frame.write_csv(buffer)
    else:
        frame.write_ndjson(buffer)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        if is_disk_full(error):
            raise
        raise InputError(f"'{path}' cannot be written: {error}") from None
    return len(frame)
