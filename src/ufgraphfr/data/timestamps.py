"""Times as int64 whatever a table writes: whole numbers, fractions or ISO 8601 dates."""

from dataclasses import replace

import polars as pl

from ufgraphfr.data.tables import Table, broken

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
    best = text.cast(pl.Int64, strict=False)
    for read in (_fraction, _date):
        if best.null_count():
            best = min(best, read(text), key=pl.Series.null_count)
    problem = broken(column, "is no time (a number or an ISO date)")
    marked = table.filled(column).refuse(pl.lit(best.is_null()), problem)
    return replace(marked, frame=marked.frame.with_columns(best.alias(column)))


def _fraction(text: pl.Series) -> pl.Series:
    value = text.cast(pl.Float64, strict=False)
    finite = value.set(~value.is_finite(), None)
    unit = 1 if (finite == finite.floor()).all() else _MICROSECONDS
    return (finite * unit).cast(pl.Int64, strict=False)


def _date(text: pl.Series) -> pl.Series:
    # without a zone it is UTC too
    forms = (
        text.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC").dt.epoch("us")
        for form in _ISO_FORMATS
    )
    return pl.select(pl.coalesce(*forms)).to_series()
