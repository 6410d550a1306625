"""Text tables with every row checked: whatever is wrong is named with file and line."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from ufgraphfr.core.errors import InputError, nearest

LINE, PROBLEM = "__line__", "__problem__"
LIST = "\x1f"
"""What separates the values of a list, where a format has lists."""
_WHOLE, _DECIMAL = r"^-?\d+(\.0+)?$", r"\.0+$"
_COMMA, _THOUSANDS = r"^-?\d+,\d+$", r",\d{3}$"

OnBadRow = Literal["error", "skip"]


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are to be read.

    Attributes:
        columns: the fields of a line; empty if the first line names them, or they are numbered.
        separator: what stands between fields.
        encoding: of the text.
        quoted: whether fields may stand in double quotes, as in CSV.
        numbered: whether the fields of a line are called 1, 2, and so on.
        typed: whether the first line may give RecBole's types, ``name:token_seq``.
    """

    columns: tuple[str, ...] = ()
    separator: str = "\t"
    encoding: str = "utf-8-sig"
    quoted: bool = False
    numbered: bool = False
    typed: bool = True


@dataclass(frozen=True)
class Table:
    """The rows of a file with what is wrong with each.

    Attributes:
        file: how messages name the file.
        frame: string columns, the line number and the problem (null for a good row).
        unit: what a number counts in this file, ``line`` or ``row``.
        several: columns with several values in a field, and what separates these.
        typed: whether the header gave RecBole's types.
        notes: what people should know of how it was read.
    """

    file: str
    frame: pl.DataFrame
    unit: str = "line"
    several: Mapping[str, str] = field(default_factory=dict)
    typed: bool = False
    notes: tuple[str, ...] = ()

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
                    f"fix the header, or name the right column in [data] columns (of a file "
                    f"without a header: header = false, and columns by number)"
                )
            if self.several.get(column) == LIST:
                raise InputError(f"{self.file}: '{column}' holds lists: give flat columns")
        return self

    def chosen(self, columns: Mapping[str, str]) -> "Table":
        """The columns that are named here, under their new names."""
        picked = (pl.col(column).alias(name) for name, column in columns.items())
        return replace(self, frame=self.frame.select(LINE, *picked, PROBLEM))

    def ids(self, column: str) -> "Table":
        """This table with the ids of a column as the same text in every file.

        ``7.0``, as a column with gaps is often written, becomes ``7`` where all are whole numbers.
        Leading zeros stay.
        """
        text = self.frame[column]
        decimal = text.str.contains(_DECIMAL).fill_null(False)
        if not decimal.any() or not (text.is_null() | text.str.contains(_WHOLE)).all():
            return self
        frame = self.frame.with_columns(text.str.replace(_DECIMAL, ""))
        first = text.filter(decimal)[0]
        short = frame[column].filter(decimal)[0]
        note = f"{self.file}: '{column}' has whole numbers, so '{first}' is read as '{short}'"
        return replace(self, frame=frame, notes=(*self.notes, note))

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
        """This table with a column of finite numbers; rows whose value is none are marked.

        ``3,5`` becomes ``3.5`` where commas stand in such numbers alone, and not before thousands.
        """
        table = self._with_points(column)
        value = pl.col(column).str.strip_chars().cast(pl.Float64, strict=False)
        return table.refuse(value.is_null() | ~value.is_finite(), broken(column, "is not a number"))

    def _with_points(self, column: str) -> "Table":
        text = self.frame[column]
        commas = text.filter(text.str.contains(",", literal=True))
        numbers, thousands = (commas.str.contains(form).all() for form in (_COMMA, _THOUSANDS))
        if commas.is_empty() or thousands or not numbers:
            return self
        frame = self.frame.with_columns(text.str.replace(",", ".", literal=True))
        note = (
            f"{self.file}: '{column}' has decimal commas, so '{commas[0]}' is read as "
            f"{commas[0].replace(',', '.')}"
        )
        return replace(self, frame=frame, notes=(*self.notes, note))

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
