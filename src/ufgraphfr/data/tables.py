"""Text tables with every row checked: whatever is wrong is named with file and line."""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.data.files import File

LINE, PROBLEM = "__line__", "__problem__"
_TEXT, _FOUND = "__text__", "__found__"
_TYPED_HEADER = re.compile(r":(token|token_seq|float|float_seq)$")

OnBadRow = Literal["error", "skip"]


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are to be read.

    Attributes:
        columns: the fields of a line; empty if the first line names them (a RecBole ``:type``
            suffix is dropped).
        separator: what stands between fields.
        encoding: of the text.
        quoted: whether fields may stand in double quotes, as in CSV.
    """

    columns: tuple[str, ...] = ()
    separator: str = "\t"
    encoding: str = "utf-8-sig"
    quoted: bool = False


@dataclass(frozen=True)
class Table:
    """The rows of a file with what is wrong with each.

    Attributes:
        file: how messages name the file.
        frame: string columns, the line number and the problem (null for a good row).
        unit: what a number counts in this file, ``line`` or ``row``.
    """

    file: str
    frame: pl.DataFrame
    unit: str = "line"

    @property
    def columns(self) -> list[str]:
        """The file's own columns."""
        return [name for name in self.frame.columns if name not in (LINE, PROBLEM)]

    def need(self, columns: Iterable[str]) -> "Table":
        """This table, if it has the columns.

        Raises:
            InputError: a column is missing; those found and the nearest are named.
        """
        for column in columns:
            if column not in self.columns:
                raise InputError(
                    f"{self.file} has no column '{column}': {nearest(column, self.columns)}; "
                    f"fix the header, or name the right column in [data] columns"
                )
        return self

    def refuse(self, bad: pl.Expr, problem: pl.Expr) -> "Table":
        """Mark the rows where ``bad`` holds, unless something was wrong with them before."""
        marked = pl.when(pl.col(PROBLEM).is_null() & bad.fill_null(False)).then(problem)
        return replace(
            self, frame=self.frame.with_columns(marked.otherwise(pl.col(PROBLEM)).alias(PROBLEM))
        )

    def filled(self, *columns: str) -> "Table":
        """Mark rows without a value in one of the columns."""
        table = self
        for name in columns:
            empty = pl.col(name).is_null() | (pl.col(name).str.strip_chars() == "")
            table = table.refuse(empty, pl.lit(f"'{name}' has no value"))
        return table

    def among(self, column: str, valid: Iterable[str]) -> "Table":
        """Mark rows whose value is none of the valid ones."""
        names = list(valid)
        problem = broken(column, f"is none of {', '.join(names)}")
        return self.refuse(~pl.col(column).fill_null("").is_in(names), problem)

    def numeric(self, column: str) -> "Table":
        """Mark rows whose value is not a finite number."""
        value = pl.col(column).str.strip_chars().cast(pl.Float64, strict=False)
        return self.refuse(value.is_null() | ~value.is_finite(), broken(column, "is not a number"))

    def unique(self, column: str) -> "Table":
        """Mark rows whose value stood on an earlier line."""
        again = ~pl.col(column).is_first_distinct()
        return self.refuse(again, broken(column, f"stands on an earlier {self.unit} too"))

    def good(self, on_bad_row: OnBadRow) -> tuple[pl.DataFrame, int]:
        """The good rows and the number of bad ones.

        Raises:
            InputError: there is a bad row and it is not to be skipped.
        """
        bad = self.frame.filter(pl.col(PROBLEM).is_not_null())
        if len(bad) and on_bad_row == "error":
            raise InputError(
                f"{self.file}, {self.unit} {bad[LINE][0]}: {bad[PROBLEM][0]} "
                f'({len(bad)} bad in all): fix it, or set [data] on_bad_row = "skip"'
            )
        rows = self.frame.filter(pl.col(PROBLEM).is_null()) if len(bad) else self.frame
        return rows.select(self.columns), len(bad)


def broken(column: str, rule: str) -> pl.Expr:
    """The message that a row's value breaks a rule; never null, not even for a missing value."""
    return pl.format("{} = '{}' {}", pl.lit(column), pl.col(column).fill_null(""), pl.lit(rule))


def parse(file: File, layout: Layout) -> Table:
    """Split a file into columns of text.

    Raises:
        InputError: it is empty, or not text in this encoding.
    """
    try:
        text = file.data.decode(layout.encoding)
    except UnicodeDecodeError as error:
        line = file.data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{file.name}, line {line}: not {layout.encoding} text: convert the file to UTF-8"
        ) from None
    quoted = layout.quoted and '"' in text
    return _parse_quoted(file, text, layout) if quoted else _parse_plain(file, text, layout)


def parse_parquet(file: File) -> Table:
    """A Parquet file as columns of text, so that its values pass the same checks.

    Raises:
        InputError: it is not Parquet, holds no rows, or nests values in a column.
    """
    try:
        frame = pl.read_parquet(io.BytesIO(file.data))
        times = pl.selectors.temporal()
        text = frame.with_columns(times.dt.epoch("us")).cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"cannot read {file.name} as Parquet ({error}): give flat columns of numbers or text"
        ) from None
    if text.is_empty():
        raise _no_rows(file)
    numbered = text.with_row_index(LINE, offset=1)
    return Table(file.name, numbered.with_columns(pl.lit(None, pl.String).alias(PROBLEM)), "row")


def _parse_plain(file: File, text: str, layout: Layout) -> Table:
    lines = pl.DataFrame({_TEXT: text.split("\n")}).with_row_index(LINE, offset=1)
    lines = lines.with_columns(pl.col(_TEXT).str.strip_chars_end("\r")).filter(pl.col(_TEXT) != "")
    names, first = layout.columns, lines.head(1)[_TEXT].to_list()
    if not names and first:
        names = _header(file, first[0].split(layout.separator))
        lines = lines[1:]
    if lines.is_empty():
        raise _no_rows(file)
    fields = pl.col(_TEXT).str.split_exact(layout.separator, len(names) - 1)
    count = pl.col(_TEXT).str.count_matches(layout.separator, literal=True) + 1
    problem = pl.when(count != len(names)).then(_wrong_count(count, names)).alias(PROBLEM)
    frame = lines.select(LINE, fields.struct.rename_fields(list(names)).struct.unnest(), problem)
    return Table(file.name, frame)


def _parse_quoted(file: File, text: str, layout: Layout) -> Table:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=layout.separator)
    records: list[tuple[int, list[str]]] = []
    start = 1
    for fields in reader:
        if fields:
            records.append((start, fields))
        start = reader.line_num + 1
    names = layout.columns
    if not names and records:
        names = _header(file, records.pop(0)[1])
    if not records:
        raise _no_rows(file)
    width = len(names)
    rows = [
        (n, *fields[:width], *[None] * (width - len(fields)), len(fields)) for n, fields in records
    ]
    schema = {LINE: pl.UInt32, **dict.fromkeys(names, pl.String), _FOUND: pl.UInt32}
    frame = pl.DataFrame(rows, schema, orient="row")
    problem = pl.when(pl.col(_FOUND) != len(names)).then(_wrong_count(pl.col(_FOUND), names))
    return Table(file.name, frame.with_columns(problem.alias(PROBLEM)).drop(_FOUND))


def _wrong_count(count: pl.Expr, names: tuple[str, ...]) -> pl.Expr:
    expected = f"{len(names)} fields expected ({', '.join(names)})"
    return pl.format("{} found, {}", count, pl.lit(expected))


def _no_rows(file: File) -> InputError:
    return InputError(f"{file.name} holds no rows: give the file with its content")


def _header(file: File, names: list[str]) -> tuple[str, ...]:
    plain = tuple(_TYPED_HEADER.sub("", name.strip()) for name in names)
    twice = {name for name in plain if plain.count(name) > 1}
    if twice:
        raise InputError(f"{file.name}, line 1: column '{min(twice)}' twice: rename one of them")
    return plain
