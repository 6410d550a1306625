"""Files with types of their own, Parquet and JSON, as columns of text.

A field of an object within a row is a column ``object.field``, and a list is several values; lists
of objects or of lists are left out, and said; where others are plain, a nested value spoils its
row. Values then pass the same checks as those of a text file.
"""

import io
import json
from collections import Counter
from collections.abc import Iterator
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
        InputError: it is not Parquet, or holds no rows.
    """
    try:
        frame = _flat(pl.read_parquet(io.BytesIO(file.data)))
        nested = [name for name, kind in frame.schema.items() if _nests(kind)]
        frame = frame.drop(nested)
        lists = [name for name, kind in frame.schema.items() if kind.is_nested()]
        times, floats = pl.selectors.temporal(), pl.selectors.float()
        whole = [
            name
            for name, values in frame.select(floats).to_dict().items()
            if ((values == values.floor()) & (values.abs() < _EXACT)).all()
        ]
        several = pl.col(lists).cast(pl.List(pl.String)).list.join(LIST)
        typed = frame.with_columns(times.dt.epoch("us"), pl.col(whole).cast(pl.Int64), several)
        text = typed.cast(pl.String).with_columns(pl.selectors.string().str.strip_chars())
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"cannot read {file.name} as Parquet ({error}): give columns of numbers or text"
        ) from None
    if text.is_empty():
        raise no_rows(file)
    numbered = text.with_row_index(LINE, offset=1)
    return Table(
        file.name,
        numbered.with_columns(pl.lit(None, pl.String).alias(PROBLEM)),
        "row",
        several=dict.fromkeys(lists, LIST),
        notes=_left_out(file, dict.fromkeys(nested, len(text))),
    )


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Fields of objects as columns of their own."""
    while structs := [n for n, kind in frame.schema.items() if isinstance(kind, pl.Struct)]:
        for name in structs:
            fields = frame[name].struct.fields
            renamed = pl.col(name).struct.rename_fields([f"{name}.{field}" for field in fields])
            frame = frame.with_columns(renamed).unnest(name)
    return frame


def _nests(kind: pl.DataType) -> bool:
    return isinstance(kind, pl.List | pl.Array) and kind.inner.is_nested()


def parse_json(file: File, encoding: str) -> Table:
    """JSON objects, one in each line, or in a list that is the whole file.

    Raises:
        InputError: it holds no rows, or is not text in this encoding.
    """
    text = decoded(file, encoding)
    unit = "row" if text.lstrip().startswith("[") else "line"
    read = _listed(file, text) if unit == "row" else _lines(text)
    records = [(number, *_checked(value, problem)) for number, value, problem in read]
    names = dict.fromkeys(name for _, values, _ in records for name in values)
    if not records:
        raise no_rows(file)
    if not names:
        what = records[0][2] or "it holds no values"
        raise InputError(
            f"{file.name}, {unit} {records[0][0]}: {what}: write one JSON object a line"
        )
    given = [(name, value) for _, values, _ in records for name, value in values.items()]
    plain = {name for name, value in given if value not in (None, []) and not _nested(value)}
    nested = Counter(name for name, value in given if _nested(value) and name not in plain)
    names = dict.fromkeys(name for name in names if name not in nested)
    columns: dict[str, list[Any]] = {
        LINE: [number for number, _, _ in records],
        **{name: [_text(values.get(name)) for _, values, _ in records] for name in names},
        PROBLEM: [problem or _spoilt(values, plain) for _, values, problem in records],
    }
    lists = {name for name, value in given if isinstance(value, list) and name in names}
    deep = {name for name, value in given if isinstance(value, list) and name in nested}
    schema = {LINE: pl.UInt32, **dict.fromkeys((*names, PROBLEM), pl.String)}
    notes = _left_out(file, {name: nested[name] for name in nested if name in deep})
    frame, several = pl.DataFrame(columns, schema), dict.fromkeys(lists, LIST)
    return Table(file.name, frame, unit, several=several, notes=notes)


def _lines(text: str) -> Iterator[tuple[int, Any, str | None]]:
    """The number of each line, its value, and what is wrong with it."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line), None
            except ValueError as error:
                yield number, None, f"this is no JSON ({error})"


def _listed(file: File, text: str) -> Iterator[tuple[int, Any, str | None]]:
    """Likewise of each element of a list."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InputError(
            f"{file.name} begins like a list in JSON and is none ({error}): mend it, or write one "
            f"JSON object a line"
        ) from None
    for number, value in enumerate(values, start=1):
        yield number, value, None


def _checked(value: Any, problem: str | None) -> tuple[dict[str, Any], str | None]:
    """The values of an object, and what is wrong with it."""
    if problem or not isinstance(value, dict):
        return {}, problem or "this is no JSON object"
    return _fields(value), None


def _fields(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    """The values of an object, and the fields of those within, by ``object.field``."""
    found = dict[str, Any]()
    for name, value in values.items():
        own = f"{before}{name}"
        found[own] = value
        if isinstance(value, dict):
            found |= _fields(value, f"{own}.")
    return found


def _nested(value: Any) -> bool:
    inside = value if isinstance(value, list) else ()
    return isinstance(value, dict) or any(isinstance(each, dict | list) for each in inside)


def _spoilt(values: dict[str, Any], plain: set[str]) -> str | None:
    """That a value is nested where those of other rows are not."""
    odd = (name for name, value in values.items() if name in plain and _nested(value))
    return next((f"'{name}' holds nested values" for name in odd), None)


def _left_out(file: File, nested: dict[str, int]) -> tuple[str, ...]:
    return tuple(
        f"{file.name}: '{name}' is left out: in {count:,} rows it holds lists of objects or lists"
        for name, count in nested.items()
    )


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return LIST.join(filter(None, map(_text, value)))
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value).strip()
