"""Files of text as tables of columns: separated fields, quoted or not, and lists of items.

A quote that is not closed, or text after a closing quote, spoils the row where the quote opens and
no other: reading goes on in the line after it.
"""

import csv
import re
import sys
from collections.abc import Iterator

import polars as pl

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.files import File
from ufgraphfr.data.tables import LINE, PROBLEM, Layout, Table

# a review may be longer than the reader's own limit
csv.field_size_limit(sys.maxsize)

_TEXT, _FOUND = "__text__", "__found__"
_TYPED_HEADER = re.compile(r":(token|token_seq|float|float_seq)$")


def parse(file: File, layout: Layout) -> Table:
    """Split a file into columns of text, without the spaces around values.

    Raises:
        InputError: it is empty, or not text in this encoding.
    """
    text = decoded(file, layout.encoding)
    quoted = layout.quoted and '"' in text
    table = _parse_quoted(file, text, layout) if quoted else _parse_plain(file, text, layout)
    return _stripped(table)


def parse_lists(file: File, layout: Layout, user: str, item: str) -> Table:
    """A file with a user and all of the user's items in each line, as one row for each item.

    Args:
        file: with lines.
        layout: its encoding counts, and its separator; a space stands for any white space.
        user: what to call the column of users.
        item: what to call the column of items.

    Raises:
        InputError: there is no item, or it is not text in this encoding.
    """
    lines = _lines(decoded(file, layout.encoding))
    text = pl.col(_TEXT).str.strip_chars()
    if layout.separator == " ":
        text = text.str.replace_all(r"\s+", " ")
    listed = lines.select(LINE, text.str.split(layout.separator).alias(item))
    listed = listed.with_columns(pl.col(item).list.first().alias(user))
    listed = listed.with_columns(pl.col(item).list.slice(1))
    empty = listed.filter(pl.col(item).list.len() == 0)
    rows = listed.filter(pl.col(item).list.len() > 0).explode(item)
    if rows.is_empty():
        raise no_rows(file)
    notes = (
        (f"{file.name}: {len(empty):,} users have no items (the first in line {empty[LINE][0]})",)
        if len(empty)
        else ()
    )
    frame = rows.select(LINE, user, item, pl.lit(None, pl.String).alias(PROBLEM))
    return _stripped(Table(file.name, frame, notes=notes))


def decoded(file: File, encoding: str) -> str:
    """The text of a file.

    Raises:
        InputError: it is not text in this encoding; the line is named.
    """
    try:
        return file.data.decode(encoding)
    except UnicodeDecodeError as error:
        line = file.data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{file.name}, line {line}: not {encoding} text: convert the file to UTF-8, or name "
            f'its encoding, [data] encoding = "latin-1"'
        ) from None


def no_rows(file: File) -> InputError:
    """That a file has no content."""
    return InputError(f"{file.name} holds no rows: give the file with its content")


def _lines(text: str) -> pl.DataFrame:
    lines = pl.DataFrame({_TEXT: text.split("\n")}).with_row_index(LINE, offset=1)
    return lines.with_columns(pl.col(_TEXT).str.strip_chars_end("\r")).filter(pl.col(_TEXT) != "")


def _stripped(table: Table) -> Table:
    values = pl.col(table.columns).str.strip_chars()
    return Table(**vars(table) | {"frame": table.frame.with_columns(values)})


def _parse_plain(file: File, text: str, layout: Layout) -> Table:
    lines = _lines(text)
    first = lines.head(1)[_TEXT].to_list()
    header = first[0].split(layout.separator) if first else []
    names, several, typed = _header(file, layout, header)
    if not layout.columns and not layout.numbered:
        lines = lines[1:]
    if lines.is_empty():
        raise no_rows(file)
    fields = pl.col(_TEXT).str.split_exact(layout.separator, len(names) - 1)
    count = pl.col(_TEXT).str.count_matches(layout.separator, literal=True) + 1
    problem = pl.when(count != len(names)).then(_wrong_count(count, names)).alias(PROBLEM)
    frame = lines.select(LINE, fields.struct.rename_fields(list(names)).struct.unnest(), problem)
    return Table(file.name, frame, several=several, typed=typed)


def _parse_quoted(file: File, text: str, layout: Layout) -> Table:
    records = list(_records(text, layout.separator))
    if records and records[0][2]:
        raise InputError(f"{file.name}, line {records[0][0]}: {records[0][2]}: fix the first line")
    names, several, typed = _header(file, layout, records[0][1] if records else [])
    if not layout.columns and not layout.numbered:
        records = records[1:]
    if not records:
        raise no_rows(file)
    width = len(names)
    rows = [
        (n, *fields[:width], *[None] * (width - len(fields)), len(fields), problem)
        for n, fields, problem in records
    ]
    schema = {LINE: pl.UInt32, **dict.fromkeys(names, pl.String)}
    schema |= {_FOUND: pl.UInt32, PROBLEM: pl.String}
    frame = pl.DataFrame(rows, schema, orient="row")
    miscounted = pl.col(PROBLEM).is_null() & (pl.col(_FOUND) != width)
    problem = pl.when(miscounted).then(_wrong_count(pl.col(_FOUND), names))
    frame = frame.with_columns(problem.otherwise(pl.col(PROBLEM)).alias(PROBLEM)).drop(_FOUND)
    notes = _over_lines(file, frame, names)
    return Table(file.name, frame, several=several, typed=typed, notes=notes)


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str], str | None]]:
    """Line, fields and problem of each record."""
    lines = [f"{line}\n" for line in text.split("\n")]
    start = 0
    while start < len(lines):
        base = start
        reader = csv.reader(
            (lines[line] for line in range(base, len(lines))),
            delimiter=separator,
            strict=True,
            skipinitialspace=separator != " ",
        )
        try:
            for fields in reader:
                if fields:
                    yield start + 1, fields, None
                start = base + reader.line_num
        except csv.Error:
            record = "".join(lines[start : base + reader.line_num])
            opened, what = _open_quote(record, separator)
            yield start + opened + 1, [], what
            start += opened + 1
        else:
            return


def _open_quote(record: str, separator: str) -> tuple[int, str]:
    """In which line of a broken record the quote opens that breaks it, and how."""
    field = re.compile(rf' *"(?:[^"]|"")*("|$)|[^\n{re.escape(separator)}]*')
    at = 0
    while at < len(record):
        found = field.match(record, at)
        assert found is not None
        line, quoted = record.count("\n", 0, at), found[1]
        if quoted == "":
            return line, "the quote that opens here is never closed"
        at = found.end()
        rest = record[at : at + 2]
        if quoted and rest and not rest.startswith((separator, "\n", "\r\n")):
            closed = record.count("\n", 0, at) - line
            where = f" {closed} lines below" if closed else ""
            return line, f"text stands after the closing quote{where} of the quote that opens here"
        at += 1
    return 0, "it cannot be read as CSV"


def _over_lines(file: File, frame: pl.DataFrame, names: tuple[str, ...]) -> tuple[str, ...]:
    """That fields go over several lines, as they do where a quote is closed by another one."""
    breaks = pl.sum_horizontal(pl.col(name).str.count_matches("\n") for name in names)
    long = frame.select(LINE, breaks.alias(_FOUND)).filter(pl.col(_FOUND) > 0)
    if long.is_empty():
        return ()
    longest = long.sort(_FOUND, descending=True, maintain_order=True).row(0)
    return (
        f"{file.name}: {len(long):,} rows go over several lines, the longest over "
        f"{longest[1] + 1} from line {longest[0]}",
    )


def _wrong_count(count: pl.Expr, names: tuple[str, ...]) -> pl.Expr:
    expected = f"{len(names)} fields expected ({', '.join(names)})"
    return pl.format("{} found, {}", count, pl.lit(expected))


def _header(
    file: File, layout: Layout, first: list[str]
) -> tuple[tuple[str, ...], dict[str, str], bool]:
    """Names of the columns, those with several values, and whether RecBole's types were given."""
    if layout.columns:
        return layout.columns, {}, False
    if layout.numbered:
        return tuple(str(column) for column in range(1, len(first) + 1)), {}, False
    names = tuple(name.strip() for name in first)
    plain = tuple(_TYPED_HEADER.sub("", name) for name in names) if layout.typed else names
    twice = {name for name in plain if plain.count(name) > 1}
    if twice:
        raise InputError(
            f"{file.name}, line 1: column '{min(twice)}' twice: rename one of them, or set [data] "
            f"header = false where the first line names no columns"
        )
    pairs = list(zip(plain, names, strict=True))
    several = {name: " " for name, typed in pairs if typed != name and typed.endswith("_seq")}
    return plain, several, plain != names
