"""Files with types of their own, Parquet and JSON lines, as columns of text.

Their values then pass the same checks as those of a text file.
"""

import io
import json
from typing import Any

import polars as pl

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.files import File
from ufgraphfr.data.parsing import decoded, no_rows
from ufgraphfr.data.tables import LINE, LIST, PROBLEM, Table

_EXACT = 2**53
"""Whole numbers beyond are not all numbers of floating point."""


def parse_parquet(file: File) -> Table:
    """A Parquet file as columns of text.

    Raises:
        InputError: it is not Parquet, holds no rows, or nests values in a column.
    """
    try:
        frame = pl.read_parquet(io.BytesIO(file.data))
        times, floats = pl.selectors.temporal(), pl.selectors.float()
        whole = [
            name
            for name, values in frame.select(floats).to_dict().items()
            if ((values == values.floor()) & (values.abs() < _EXACT)).all()
        ]
        typed = frame.with_columns(times.dt.epoch("us"), pl.col(whole).cast(pl.Int64))
        text = typed.cast(pl.String).with_columns(pl.selectors.string().str.strip_chars())
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"cannot read {file.name} as Parquet ({error}): give flat columns of numbers or text"
        ) from None
    if text.is_empty():
        raise no_rows(file)
    numbered = text.with_row_index(LINE, offset=1)
    return Table(file.name, numbered.with_columns(pl.lit(None, pl.String).alias(PROBLEM)), "row")


def parse_json_lines(file: File, encoding: str) -> Table:
    """A JSON object in each line; a list of numbers or text is several values of one field.

    Raises:
        InputError: it holds no rows, or is not text in this encoding.
    """
    lines = enumerate(decoded(file, encoding).split("\n"), start=1)
    records = [(number, *_record(line)) for number, line in lines if line.strip()]
    names = dict.fromkeys(name for _, values, _ in records for name in values)
    if not records:
        raise no_rows(file)
    if not names:
        what = records[0][2] or "it holds no values"
        raise InputError(f"{file.name}, line {records[0][0]}: {what}: write one JSON object a line")
    columns: dict[str, list[Any]] = {
        LINE: [number for number, _, _ in records],
        **{name: [_text(values.get(name)) for _, values, _ in records] for name in names},
        PROBLEM: [problem for _, _, problem in records],
    }
    lists = {
        name
        for _, values, _ in records
        for name, value in values.items()
        if isinstance(value, list)
    }
    schema = {LINE: pl.UInt32, **dict.fromkeys((*names, PROBLEM), pl.String)}
    return Table(file.name, pl.DataFrame(columns, schema), several=dict.fromkeys(lists, LIST))


def _record(line: str) -> tuple[dict[str, Any], str | None]:
    """The values of a line, and what is wrong with it."""
    try:
        values = json.loads(line)
    except ValueError as error:
        return {}, f"this is no JSON ({error})"
    if not isinstance(values, dict):
        return {}, "this is no JSON object"
    for name, value in values.items():
        inside = value if isinstance(value, list) else [value]
        if any(isinstance(each, dict | list) for each in inside):
            return {}, f"'{name}' holds nested values"
    return values, None


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return LIST.join(filter(None, map(_text, value)))
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value).strip()
