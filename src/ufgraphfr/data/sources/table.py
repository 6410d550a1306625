"""Your own table: CSV, TSV, JSON lines, Parquet, RecBole atomic files, or a list of items a line.

RecBole's atomic files (https://recbole.io/docs/user_guide/data/atomic_files.html) are
tab-separated with ``name:type`` headers.
"""

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator, model_validator

from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.data import templates
from ufgraphfr.data.assemble import Items, Profiles, assemble, profiles_of
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.dataset import Card, Dataset
from ufgraphfr.data.features import Kind
from ufgraphfr.data.files import find, parquet_files
from ufgraphfr.data.interactions import MIN_INTERACTIONS, Selection
from ufgraphfr.data.missing import present
from ufgraphfr.data.opening import Opening, Quotes
from ufgraphfr.data.sources._kept_rows import kept_rows
from ufgraphfr.data.sources._listed import ListedSource
from ufgraphfr.data.sources._parts import check_parts, of_column, of_file
from ufgraphfr.data.sources._table_columns import Columns
from ufgraphfr.data.sources._table_rows import Rows, rows_of, typed_rows
from ufgraphfr.data.sources._table_values import known_of
from ufgraphfr.data.tables import Table
from ufgraphfr.data.timestamps import with_times

_Name = Annotated[str, Field(min_length=1)]
_READ_AS = {
    *("on_bad_row", "parts", "columns", "layout", "min_rating", "time_format"),
    *("separator", "encoding", "header", "quotes"),
}
"""What says how the files of interactions are read."""


class TableSource(ListedSource):
    """Your own table."""

    card: ClassVar[Card] = Card(name="table", title="Your own table")
    files: ClassVar[tuple[str, ...]] = ("interactions", "users", "items")

    interactions: _Name | Annotated[tuple[_Name, ...], Field(min_length=1)]
    """File of interactions, relative to the data folder, or a list of files. A folder is all the
    Parquet files in it, in the order of their names."""
    users: str = ""
    """File of user attributes, one row for each user."""
    items: str = ""
    """File of item titles and features; several values of a feature are separated by ``|``."""
    parts: tuple[Literal["train", "validation", "test"], ...] = ()
    """What each of the files of interactions is, for ``split = "given"``."""
    columns: Columns = Columns()
    """Names of the columns."""
    layout: Literal["rows", "list"] = "rows"
    """A ``list`` has a user and all of the user's items in each line, and no header."""
    separator: str = ""
    """What stands between fields; without it, it is seen from the file."""
    header: bool = True
    """Whether the first line names the columns; without a header they are given by number."""
    encoding: str = "utf-8-sig"
    """Of text files: ``latin-1``, for example. UTF-16 with its mark is read without it."""
    quotes: Quotes = "auto"
    """Whether fields may stand in double quotes: ``auto`` is in .csv files alone."""
    time_format: str = ""
    """Of dates, as in ``%d.%m.%Y %H:%M``; without it, numbers and ISO dates are read."""
    template: str = ""
    """Sentence about a user with ``{column}`` fields of the user table; without it, one clause
    for each column, as for a user of whom a field is missing."""
    features: dict[str, Kind] = Field(default_factory=dict)
    """What a column of the item table is, where its values mislead: ``label`` (codes, too),
    ``number``, or ``text``, which joins the item's title."""
    name: str = Field(default="table", min_length=1)
    """What to call the data set in results."""
    sequential: bool | Literal["auto"] = "auto"
    """Whether a user's order means something: ``auto`` says so where there are times, unless ties
    decide what most users had last. If it does and there are none, the file's order says it."""
    file_order: bool = False
    """Whether the order of the file's lines breaks ties in time; a hash of the ids does
    otherwise."""
    min_rating: float | None = None
    """Rows of a lower rating are dropped."""
    min_user: int = Field(default=MIN_INTERACTIONS, ge=MIN_INTERACTIONS)
    """Users with fewer interactions are dropped."""
    min_item: int = Field(default=1, ge=1)
    """Items with fewer interactions are dropped."""
    k_core: int = Field(default=0, ge=0)
    """At least so many interactions for each user and each item that is kept."""

    @model_validator(mode="after")
    def _consistent(self) -> "TableSource":
        if self.items_from == "table" and not self.has_item_table:
            raise ValueError('items_from = "table" needs the file of items, items = "..."')
        if self.time_format and not isinstance(self.columns.timestamp, str):
            raise ValueError("time_format is for dates of one column, not of several: drop it")
        return self

    @field_validator("encoding")
    @classmethod
    def _is_encoding(cls, encoding: str) -> str:
        try:
            found = codecs.lookup(encoding).name
        except LookupError:
            raise ValueError("no encoding is called so: utf-8, latin-1, cp1252 ...") from None
        # a byte order mark is no part of the first column's name
        return "utf-8-sig" if found == "utf-8" else encoding

    def located(self, *folders: Path) -> "TableSource":
        """See `Source.located`; a file that is not there is left to the data folder."""
        found = {
            "interactions": tuple(_located(name, folders) for name in self._interaction_files),
            "users": _located(self.users, folders),
            "items": _located(self.items, folders),
        }
        if isinstance(self.interactions, str):
            found["interactions"] = found["interactions"][0]
        return self.model_copy(update=found)

    @property
    def has_item_table(self) -> bool:
        """See `ListedSource.has_item_table`."""
        return bool(self.items)

    @property
    def from_rows(self) -> tuple[str, ...]:
        """See `Source.from_rows`."""
        listed = super().from_rows
        if max(self.min_item, self.k_core) > 1:
            return *listed, "Which items have enough interactions (min_item, k_core) is exact."
        return listed

    @property
    def origin(self) -> str:
        """See `Source.origin`: where the interactions lie."""
        return " ".join(str(Path(name).resolve()) for name in sorted(self._interaction_files))

    def load(self, data_dir: Path | None = None) -> Dataset:
        """Read the files, relative to ``data_dir`` or the current folder; see `Source.load`."""
        folder = data_dir or Path()
        return self._assembled(folder, self._rows(folder))

    def load_again(self, data_dir: Path | None = None) -> Dataset:
        """See `Source.load_again`: the rows of large files are kept as columns."""
        folder = data_dir or Path()
        named, read_as = self._named(folder), self.model_dump(mode="json", include=_READ_AS)
        rows = kept_rows(folder, named, read_as, lambda: self._rows(folder))
        return self._assembled(folder, rows)

    def _assembled(self, folder: Path, rows: Rows) -> Dataset:
        timed = rows.coded.timestamp is not None
        sequential = timed if self.sequential == "auto" else self.sequential
        profiles, bad_users, user_notes = self._profiles(folder)
        items, bad_items, item_notes = self._items(folder)
        return assemble(
            Card(name=self.name, title=self.name, sequential=sequential),
            rows.coded,
            profiles,
            self.describe,
            templates.attributes({}),
            items,
            rows.bad + bad_users + bad_items,
            selection=Selection(
                file_order=self.file_order or (sequential and not timed),
                min_user=max(self.min_user, self.k_core),
                min_item=max(self.min_item, self.k_core),
                items=self.catalogue(folder).items if self.items_from == "table" else None,
                ties_end_order=self.sequential == "auto" and not self.file_order,
            ),
            low_ratings=rows.good - len(rows.coded),
            others=rows.users,
            rows_read=rows.read,
            ratings=rows.ratings,
            users_file=Path(self.users).name,
            notes=[*rows.notes, *user_notes, *item_notes],
        )

    def describe(self, profile: Mapping[str, str]) -> str:
        """See `Source.describe`."""
        if not self.template:
            return templates.attributes(profile)
        return templates.fill(self.template, profile)

    def catalogue(self, data_dir: Path | None = None) -> Catalogue:
        """All items of the item table, in its order, whether or not anybody has touched them.

        Raises:
            InputError: the table is missing, or a row is bad.
        """
        folder = data_dir or Path()
        known, _, _ = self._items(folder)
        table, column = self._item_table(folder)
        return known.of(tuple(table.good(self.on_bad_row)[0][column].to_list()))

    @property
    def _interaction_files(self) -> tuple[str, ...]:
        return (self.interactions,) if isinstance(self.interactions, str) else self.interactions

    def _named(self, folder: Path) -> list[tuple[str, int]]:
        """All files of interactions, and the place of each one's name among those given."""
        names = enumerate(self._interaction_files)
        return [(each, n) for n, name in names for each in parquet_files(folder, name)]

    @property
    def opening(self) -> Opening:
        """How its files are opened."""
        return Opening(self.separator, self.encoding, self.header, self.quotes)

    def _rows(self, folder: Path) -> Rows:
        """The interactions, checked."""
        check_parts(self.parts, self._interaction_files, self.columns.part)
        named = self._named(folder)
        files = [name for name, _ in named]
        if self.layout == "rows" and not self.parts and not self.time_format:
            rows = typed_rows(folder, files, self.columns, self.min_rating)
            if rows is not None:
                return rows
        tables = [self._interactions(folder, name) for name in files]
        if self.parts:
            whole = zip(tables, named, strict=True)
            tables = [of_file(table, self.parts[number]) for table, (_, number) in whole]
        return rows_of(tables, self.on_bad_row, self.min_rating)

    def _interactions(self, folder: Path, name: str) -> Table:
        """Columns user and item, and timestamp and rating where there are any."""
        names = self.columns
        if self.layout == "list":
            if self.min_rating is not None:
                raise InputError('layout = "list" has no ratings, which min_rating needs: drop it')
            return self.opening.lists(folder, name, "user", "item").filled("user", "item")
        table, time = names.timed(self.opening.table(folder, name))
        user, item = (names.id_of(key, table) for key in ("user", "item"))
        rating = names.column_of("rating", table)
        part = names.column_of("part", table) if names.part else ""
        if self.min_rating is not None and not rating:
            raise InputError(
                f"{table.file} has no ratings, which min_rating needs: name their column"
            )
        table = table.ids(user).ids(item).filled(user, item)
        table = table.numeric(rating) if rating else table
        table = with_times(table, time, self.time_format) if time else table
        table = of_column(table, part) if part else table
        chosen = {"user": user, "item": item, "timestamp": time, "rating": rating, "part": part}
        return table.chosen({key: column for key, column in chosen.items() if column})

    def _profiles(self, folder: Path) -> tuple[Profiles, int, tuple[str, ...]]:
        if not self.users:
            if self.template:
                raise InputError("template needs user attributes: name their file, users = ...")
            return {}, 0, ()
        table = self.opening.table(folder, self.users)
        user = self.columns.id_of("user", table, self.columns.user_key)
        table = table.ids(user).filled(user).unique(user)
        templates.check_template(self.template, set(table.columns) - {user})
        rows, bad = table.good(self.on_bad_row)
        marks = table.several.items()
        lists = [pl.col(name).str.replace_all(mark, ", ", literal=True) for name, mark in marks]
        known, gaps = known_of(rows.with_columns(lists), user, table.file)
        return profiles_of(known, user), bad, (*table.notes, *gaps)

    def _item_table(self, folder: Path) -> tuple[Table, str]:
        table = self.opening.table(folder, self.items)
        item = self.columns.id_of("item", table, self.columns.item_key)
        return table.ids(item).filled(item).unique(item), item

    def _items(self, folder: Path) -> tuple[Items, int, tuple[str, ...]]:
        if not self.items:
            return Items(), 0, ()
        table, item = self._item_table(folder)
        title = self.columns.column_of("title", table)
        rows, bad = table.good(self.on_bad_row)
        titled = rows.filter(pl.col(title) != "").select(item, title) if title else pl.DataFrame()
        rows, gaps = known_of(rows.drop(*{title} - {""}), item, table.file)
        for name in self.features:
            if name not in rows.columns or name == item:
                raise InputError(
                    f"[data.features] {name}: {nearest(name, set(rows.columns) - {item})}"
                )
        features = {
            name: {
                key: present(value.split(table.several.get(name, "|")))
                for key, value in rows.select(item, name).iter_rows()
            }
            for name in rows.columns
            if name != item
        }
        items = Items(dict(titled.iter_rows()), features, Path(self.items).name, self.features)
        return items, bad, (*table.notes, *gaps)


def _located(name: str, folders: tuple[Path, ...]) -> str:
    """The path of a file in the first folder that has it, in whatever container; else its name."""
    # who moved the files of a path names their folder
    inside = Path(name).name if Path(name).is_absolute() else name
    there = (find(folder, inside, True) for folder in folders if name and folder.is_dir())
    path = next((path for path in there if path), None)
    return str(path.resolve()) if path else name
