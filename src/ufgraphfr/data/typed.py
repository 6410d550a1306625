"""Rows of Parquet files whose columns have types, read some at a time and never as text.

What `nested.parse_parquet` and the checks of `tables` make of such rows, where nothing is wrong
with them and nothing about them is to be guessed. Of all others those say what is wrong.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from ufgraphfr.core.mapped import ROWS_AT_ONCE, Growing, let_go
from ufgraphfr.data.coded import Coded, code_kind
from ufgraphfr.data.timestamps import EPOCH, UNIT_GAP

USER, ITEM, TIME, RATING = "user", "item", "timestamp", "rating"
_UNCLEAR = r"^\s*$|^\s|\s$|\.0+$"
"""Of names: nothing, with spaces around, or a whole number that might be written otherwise."""


@dataclass(frozen=True)
class TypedRows:
    """What was read.

    Attributes:
        coded: the rows that count, with the names of all users.
        total: how many there are.
        ratings: how many have each rating.
    """

    coded: Coded
    total: int
    ratings: Mapping[float, int]


@dataclass(frozen=True)
class Typed:
    """Files of interactions.

    Attributes:
        paths: of the files, whose rows stand in this order.
        columns: the file's column by ``user``, ``item``, ``timestamp`` and ``rating``, the last
            two where there are any.
        least: rows of a lower rating do not count; None counts all.
    """

    paths: Sequence[Path]
    columns: Mapping[str, str]
    least: float | None = None

    def read(self) -> TypedRows | None:
        """The rows; None where one of them wants a closer look."""
        if not self._has_plain_types() or not self._is_clear():
            return None
        rows = pl.concat(map(self._file, self.paths))
        total: int = rows.select(pl.len()).collect().item()
        known = [_told_apart(rows, USER), _told_apart(rows.filter(self._counts), ITEM)]
        kind = code_kind(total)
        user, item, time = Growing(kind), Growing(kind), Growing(np.int64)
        ratings = Counter[float]()
        for frame in self._frames():
            if RATING in self.columns:
                ratings.update(dict(frame[RATING].value_counts().iter_rows()))
            own = frame.filter(self._counts)
            for found, numbers in zip((user, item), known, strict=True):
                found.add(_numbered(own, numbers))
            if TIME in self.columns:
                time.add(own[TIME].to_numpy())
        users, items = (each[each.columns[0]].cast(pl.String) for each in known)
        stamps = time.column() if TIME in self.columns else None
        coded = Coded(user.column(), item.column(), users, items, stamps)
        let_go(coded.user.nbytes)
        return TypedRows(coded, total, ratings)

    @property
    def _counts(self) -> pl.Expr:
        return pl.lit(True) if self.least is None else pl.col(RATING) >= self.least

    @cached_property
    def _types(self) -> list[dict[str, pl.DataType]]:
        schemas = map(pl.read_parquet_schema, self.paths)
        return [{key: own[column] for key, column in self.columns.items()} for own in schemas]

    def _has_plain_types(self) -> bool:
        """Whether all files have the same types, which say all that text would."""
        first = self._types[0]
        return (
            all(each == first for each in self._types)
            and all(first[key].is_integer() or first[key] == pl.String for key in (USER, ITEM))
            and (TIME not in first or first[TIME].is_integer() or first[TIME].is_temporal())
            and (RATING not in first or first[RATING].is_numeric())
        )

    def _file(self, path: Path) -> pl.LazyFrame:
        """Columns by key: times as whole numbers, ratings as text would give them."""
        picked = {key: pl.col(column) for key, column in self.columns.items()}
        kinds = self._types[0]
        if TIME in picked and kinds[TIME].is_temporal():
            picked[TIME] = picked[TIME].dt.epoch("us")
        if RATING in picked:
            # 1.1 in 32 bits is 1.1, and not what 64 bits make of it
            text = kinds[RATING] == pl.Float32
            rating = picked[RATING].cast(pl.String) if text else picked[RATING]
            picked[RATING] = rating.cast(pl.Float64)
        return pl.scan_parquet(path).select(**picked)

    def _frames(self) -> Iterator[pl.DataFrame]:
        """The rows, some at a time."""
        for path in self.paths:
            file = self._file(path)
            for first in range(0, file.select(pl.len()).collect().item(), ROWS_AT_ONCE):
                yield file.slice(first, ROWS_AT_ONCE).collect()

    def _is_clear(self) -> bool:
        """Whether the checks of `tables` would have nothing to say of any row."""
        dates, rows = list[int](), 0
        for frame in self._frames():
            rows += len(frame)
            if any(frame.null_count().row(0)):
                return False
            for name in frame.select(pl.selectors.string()):
                if name.str.contains(_UNCLEAR).any():
                    return False
            if RATING in self.columns and not frame[RATING].is_finite().all():
                return False
            if TIME in self.columns:
                size = frame[TIME].cast(pl.Int64).abs()
                own = size.filter(size >= EPOCH).to_numpy()
                dates += [int(own.min()), int(own.max())] if len(own) else []
        # times are of one unit, whichever it is
        return rows > 0 and (not dates or max(dates) < UNIT_GAP * min(dates))


def _told_apart(rows: pl.LazyFrame, key: str) -> pl.DataFrame:
    """Distinct values of a column, and a ``number`` for each."""
    distinct = rows.select(key).unique().collect(engine="streaming")
    return distinct.with_columns(number=pl.int_range(pl.len(), dtype=pl.UInt32))


def _numbered(
    rows: pl.DataFrame, known: pl.DataFrame
) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    key = known.columns[0]
    joined = rows.select(key).join(known, on=key, how="left", maintain_order="left")
    return joined["number"].to_numpy()
