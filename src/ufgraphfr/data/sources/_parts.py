"""Which part of a split that is given a row belongs to, as int64 ``part``."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.interactions import PARTS
from ufgraphfr.data.tables import PROBLEM, Table


def check_parts(parts: Sequence[str], files: Sequence[str], column: str) -> None:
    """Parts are told by files or by a column, and for every file.

    Raises:
        InputError: they are not.
    """
    if parts and column:
        raise InputError(
            f"[data] parts and [data.columns] part = '{column}' both say how the data are split: "
            f"leave one out"
        )
    if parts and len(parts) != len(files):
        raise InputError(
            f"[data] parts names {len(parts)} parts for {len(files)} files of interactions: name "
            f"one for each ({', '.join(PARTS)})"
        )


def of_file(table: Table, part: str) -> Table:
    """All rows of a file belong to one part."""
    known = pl.lit(PARTS.index(part), pl.Int64).alias("part")
    return replace(table, frame=table.frame.select(pl.exclude(PROBLEM), known, PROBLEM))


def of_column(table: Table, column: str) -> Table:
    """A column, stripped, names each row's part; other values are bad rows."""
    named = table.frame.with_columns(pl.col(column).str.strip_chars())
    table = replace(table, frame=named).among(column, PARTS)
    number = pl.col(column).replace_strict(
        list(PARTS), list(range(len(PARTS))), default=None, return_dtype=pl.Int64
    )
    return replace(table, frame=table.frame.with_columns(number))
