"""Times as int64 whatever a table writes: whole numbers, fractions or ISO 8601 dates."""

from collections.abc import Callable

import polars as pl

from ufgraphfr.data.tables import LINE, PROBLEM, Table, broken

_MICROSECONDS = 1_000_000
_ISO_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
)


def with_times(table: Table, column: str) -> Table:
    """The table with one column as int64; rows that cannot be read are marked.

    The whole column is read in one way, the one that fits most rows: whole numbers stay as they
    are, fractions and dates become microseconds. Only the order of times matters later.
    """
    text = table.frame[column].str.strip_chars()
    best = _whole(text)
    others: tuple[Callable[[pl.Series], pl.Series], ...] = (_fraction, _date)
    for read in others:
        if best.null_count() == 0:
            break
        candidate = read(text)
        best = candidate if candidate.null_count() < best.null_count() else best
    problem = broken(column, "is no time (a number or an ISO date)")
    marked = table.filled(column).refuse(pl.lit(best.is_null()), problem)
    order = [LINE, *table.columns, PROBLEM]
    frame = marked.frame.with_columns(best.alias(column)).select(order)
    return Table(table.file, frame, table.unit)


def _whole(text: pl.Series) -> pl.Series:
    return text.cast(pl.Int64, strict=False)


def _fraction(text: pl.Series) -> pl.Series:
    value = text.cast(pl.Float64, strict=False)
    finite = value.set(~value.is_finite(), None)
    if (finite == finite.floor()).all():
        return finite.cast(pl.Int64, strict=False)
    return (finite * _MICROSECONDS).cast(pl.Int64, strict=False)


def _date(text: pl.Series) -> pl.Series:
    forms = [
        pl.col("text").str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC")
        if form.endswith("z")
        else pl.col("text")
        .str.to_datetime(form, strict=False, time_unit="us")
        .dt.replace_time_zone("UTC")
        for form in _ISO_FORMATS
    ]
    return text.alias("text").to_frame().select(pl.coalesce(forms).dt.epoch("us"))["text"]
