"""Rows and columns as data frames, for people who work with them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import polars as pl
from numpy.typing import NDArray

Frame: TypeAlias = pl.DataFrame


def frame_of_rows(rows: Sequence[Mapping[str, Any]]) -> Frame:
    """One row for each mapping; what one of them lacks is null."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pl.DataFrame({name: [row.get(name) for row in rows] for name in names}, strict=False)


def frame_of_columns(columns: Mapping[str, NDArray[Any]]) -> Frame:
    """One column for each array; all have one length."""
    return pl.DataFrame(dict(columns))
