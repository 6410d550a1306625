"""Times as int64 whatever a table writes: numbers, dates in ISO 8601 or a named format."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.tables import Table, broken

_MICROSECONDS = 1_000_000
_LARGEST = 9e12
_ISO_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
)


DATE_PARTS = ("year", "month", "day", "hour", "minute", "second")
"""Columns that are a time together, in this order; the first three make a date."""

EPOCH, STEP = 10**8, 1000
"""Smaller numbers may count anything; from here on they are seconds, from 1973 on. Each finer unit
is a thousand times as much."""
UNIT_GAP = 100
"""Times of one unit lie closer; seconds and milliseconds since 1970 are a thousand apart."""


def with_times(table: Table, column: str, time_format: str = "") -> Table:
    """The table with one column as int64; rows that cannot be read are marked.

    The whole column is read in one way, the one that fits most rows: whole numbers stay as they
    are, fractions and dates become microseconds. Only the order of times matters later, so numbers
    must be of one unit: those that are not of the most frequent one are marked too.

    Args:
        table: with the column as text.
        column: its name.
        time_format: of dates, as of ``strptime``; without it numbers and ISO 8601 are read.

    Raises:
        InputError: the format is none.
    """
    text = table.frame[column].str.strip_chars()
    marked = table.filled(column)
    if time_format:
        best, rule = _formatted(text, time_format), f"is no time in the format {time_format}"
    else:
        best, numbers = text.cast(pl.Int64, strict=False), True
        for read in (_fraction, _date):
            if best.null_count():
                other = read(text)
                if other.null_count() < best.null_count():
                    best, numbers = other, read is _fraction
        rule = "is no time (a number or an ISO date; [data] time_format names another format)"
        if numbers:
            odd = pl.lit(_of_other_unit(text.cast(pl.Float64, strict=False)))
            unit = "is in another unit than most times of the column (seconds, milliseconds ...?)"
            marked = marked.refuse(odd, broken(column, unit))
    marked = marked.refuse(pl.lit(best.is_null()), broken(column, rule))
    return replace(marked, frame=marked.frame.with_columns(best.alias(column)))


def joined(table: Table, columns: Sequence[str]) -> tuple[Table, str]:
    """A table whose dates stand in several columns, with one more: its dates in ISO 8601.

    Args:
        table: with the columns as text.
        columns: of `DATE_PARTS`, from the year on.

    Returns:
        The table, and the name of the new column.
    """
    name, parts = "-".join(columns), [pl.col(column).str.strip_chars() for column in columns]
    year, *others = (
        part.str.zfill(width) for part, width in zip(parts, (4, 2, 2, 2, 2, 2), strict=False)
    )
    clock = [*others[2:], *[pl.lit("00")] * (len(DATE_PARTS) - len(columns))]
    date = pl.concat_str(year, *others[:2], separator="-")
    whole = pl.concat_str(date, pl.concat_str(*clock, separator=":"), separator="T").alias(name)
    marked = table.filled(*columns)
    return replace(marked, frame=marked.frame.with_columns(whole)), name


def unit_of(stamp: int) -> int | None:
    """0 for seconds since 1970, 1 for milliseconds, up to 3; None if it is no date."""
    units = [unit for unit in range(4) if stamp >= EPOCH * STEP**unit]
    return units[-1] if units else None


def _of_other_unit(values: pl.Series) -> pl.Series:
    size = np.abs(values.fill_null(0).fill_nan(0).to_numpy())
    dates = np.unique(size[(size >= EPOCH) & np.isfinite(size)])
    begins = dates[1:][dates[1:] >= UNIT_GAP * dates[:-1]]
    unit = np.searchsorted(begins, size, side="right")
    is_date = size >= EPOCH
    usual = np.bincount(unit[is_date], minlength=1).argmax()
    return pl.Series(is_date & (unit != usual))


def _formatted(text: pl.Series, time_format: str) -> pl.Series:
    try:
        dates = text.str.to_datetime(time_format, strict=False, time_unit="us", time_zone="UTC")
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"[data] time_format = '{time_format}' is no format of dates ({error}): write it as in "
            f"'%d.%m.%Y %H:%M'"
        ) from None
    return dates.dt.epoch("us")


def _fraction(text: pl.Series) -> pl.Series:
    value = text.cast(pl.Float64, strict=False)
    finite = value.set(~value.is_finite(), None)
    largest = finite.drop_nulls().abs().to_numpy().max(initial=0.0)
    # microseconds of more would not fit
    is_whole = (finite == finite.floor()).all() or largest > _LARGEST
    return (finite * (1 if is_whole else _MICROSECONDS)).cast(pl.Int64, strict=False)


def _date(text: pl.Series) -> pl.Series:
    # without a zone it is UTC too
    forms = (
        text.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC").dt.epoch("us")
        for form in _ISO_FORMATS
    )
    return pl.select(pl.coalesce(*forms)).to_series()
