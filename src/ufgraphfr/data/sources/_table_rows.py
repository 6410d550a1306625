"""The rows of a person's files of interactions: those that count, and what is said of all."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.coded import Coded
from ufgraphfr.data.sources._table_columns import Columns
from ufgraphfr.data.sources._table_values import ratings_in
from ufgraphfr.data.tables import LINE, PROBLEM, OnBadRow, Table
from ufgraphfr.data.typed import RATING, TIME, Typed


@dataclass(frozen=True)
class Rows:
    """What was read.

    Attributes:
        coded: the rows that count.
        users: whoever the good rows name.
        read: how many rows there are, good or bad.
        bad: how many could not be used.
        good: how many could, whether or not they count.
        ratings: how many good rows have each rating; None where there are none.
        notes: what people should know of how they were read.
    """

    coded: Coded
    users: Collection[str]
    read: int
    bad: int
    good: int
    ratings: Mapping[str, int] | None
    notes: tuple[str, ...] = ()


def rows_of(tables: Sequence[Table], on_bad_row: OnBadRow, least: float | None) -> Rows:
    """The rows of tables that were checked.

    Args:
        tables: with columns by key.
        on_bad_row: see `Source.on_bad_row`.
        least: rows of a lower rating do not count; None counts all.

    Raises:
        InputError: some have times and others none, a row is bad, or no rating is enough.
    """
    read = [table.good(on_bad_row) for table in tables]
    if len({TIME in table.columns for table in tables}) > 1:
        raise InputError("some files of interactions have times and others none: name alike")
    rows = pl.concat([rows for rows, _ in read])
    wanted = rows
    if least is not None:
        wanted = rows.filter(pl.col(RATING).cast(pl.Float64) >= least)
        _check_left(len(wanted), len(rows), least)
    return Rows(
        coded=Coded.of(wanted),
        users=rows["user"].unique().to_list(),
        read=sum(len(table.frame) for table in tables),
        bad=sum(bad for _, bad in read),
        good=len(rows),
        ratings=ratings_in(rows),
        notes=tuple(note for table in tables for note in table.notes),
    )


def typed_rows(
    folder: Path, names: Sequence[str], columns: Columns, least: float | None
) -> Rows | None:
    """The rows of Parquet files in which nothing is wrong or to be guessed; None of all others.

    Raises:
        InputError: a column that is named is missing, or no rating is enough.
    """
    paths = [folder / name for name in names]
    if columns.part or isinstance(columns.timestamp, tuple):
        return None
    if not all(path.suffix == ".parquet" and path.is_file() for path in paths):
        return None
    try:
        headers = [pl.read_parquet_schema(path) for path in paths]
    except pl.exceptions.PolarsError:
        return None
    dotted = {named for named in columns.model_dump().values() if "." in named}
    if any(dotted - header.keys() for header in headers):
        # they may be fields of objects within rows
        return None
    empty = (dict.fromkeys((LINE, *header, PROBLEM), pl.String) for header in headers)
    tables = (
        Table(str(path), pl.DataFrame(schema=schema), "row")
        for path, schema in zip(paths, empty, strict=True)
    )
    found = [_columns(table, columns) for table in tables]
    if any(each != found[0] for each in found) or (least is not None and RATING not in found[0]):
        return None
    typed = Typed(paths, found[0], least).read()
    if typed is None:
        return None
    _check_left(len(typed.coded), typed.total, least)
    ratings = {f"{rating:g}": count for rating, count in sorted(typed.ratings.items())}
    users = typed.coded.users.to_list()
    return Rows(
        typed.coded, users, typed.total, 0, typed.total, ratings if RATING in found[0] else None
    )


def _columns(table: Table, columns: Columns) -> dict[str, str]:
    """The file's column by key, of what there is."""
    found = {key: columns.id_of(key, table) for key in ("user", "item")}
    found |= {key: columns.column_of(key, table) for key in (TIME, RATING)}
    return {key: column for key, column in found.items() if column}


def _check_left(left: int, rows: int, least: float | None) -> None:
    if least is not None and not left:
        raise InputError(
            f"[data] min_rating = {least:g}: all {rows:,} rows have lower ratings: ask for less"
        )
