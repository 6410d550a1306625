"""Your own table: CSV, TSV, Parquet or RecBole atomic files with user and item columns.

RecBole's atomic files (https://recbole.io/docs/user_guide/data/atomic_files.html) are
tab-separated with ``name:type`` headers.
"""

import logging
from functools import partial
from pathlib import Path
from typing import ClassVar

import polars as pl
from pydantic import Field

from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.core.spec import Spec
from ufgraphfr.data import templates
from ufgraphfr.data.assemble import Items, Profiles, assemble, profiles_of
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.dataset import Card, Dataset
from ufgraphfr.data.features import Kind
from ufgraphfr.data.files import find, read
from ufgraphfr.data.missing import plain, present
from ufgraphfr.data.sources.base import Source
from ufgraphfr.data.tables import Layout, Table, parse, parse_parquet
from ufgraphfr.data.timestamps import with_times

logger = logging.getLogger(__name__)

_LAYOUTS = {".csv": Layout(separator=",", quoted=True)} | dict.fromkeys(
    (".tsv", ".inter", ".user", ".item"), Layout()
)


class Columns(Spec):
    """Which column of the files holds what.

    A user or item table uses the same name for the user or item as the interactions. A column
    that is named must exist; without a name, `timestamp`, `rating` and `title` are taken from
    columns of these names where there are any.
    """

    user: str = "user"
    """Who."""
    item: str = "item"
    """What."""
    timestamp: str = ""
    """Numbers or ISO dates; without this column the order of the file counts."""
    rating: str = ""
    """Checked to be a number where it exists; every row counts as an interaction."""
    title: str = ""
    """Of the item table."""

    def column_of(self, key: str, table: Table) -> str:
        """The column that holds ``key``, or nothing if it may be missing and is.

        Raises:
            InputError: it was named, and is missing.
        """
        named: str = getattr(self, key)
        if named:
            table.need((named,))
        return named or (key if key in table.columns else "")


class TableSource(Source):
    """Your own table."""

    card: ClassVar[Card] = Card(name="table", title="Your own table")
    files: ClassVar[tuple[str, ...]] = ("interactions", "users", "items")

    interactions: str = Field(min_length=1)
    """File of interactions, relative to the data folder."""
    users: str = ""
    """File of user attributes, one row for each user."""
    items: str = ""
    """File of item titles and features; several values of a feature are separated by ``|``."""
    columns: Columns = Columns()
    """Names of the columns."""
    template: str = ""
    """Sentence about a user with ``{column}`` fields of the user table; without it, one clause
    for each column, as for a user of whom a field is missing."""
    features: dict[str, Kind] = Field(default_factory=dict)
    """What a column of the item table is, where its values mislead: ``label`` (codes, too),
    ``number``, or ``text``, which joins the item's title."""
    name: str = Field(default="table", min_length=1)
    """What to call the data set in results."""
    sequential: bool = True
    """Whether timestamps or file order say what came first."""

    def located(self, *folders: Path) -> "TableSource":
        """See `Source.located`; a file that is not there is left to the data folder."""
        found: dict[str, str] = {}
        for key in self.files:
            name = Path(getattr(self, key))
            # who moved the files of a path names their folder
            inside = name.name if name.is_absolute() else name
            paths = (folder / inside for folder in folders if getattr(self, key))
            there = next((path for path in paths if path.is_file()), None)
            found |= {key: str(there.resolve())} if there else {}
        return self.model_copy(update=found)

    def load(self, data_dir: Path | None = None) -> Dataset:
        """Read the files, relative to ``data_dir`` or the current folder; see `Source.load`."""
        folder = data_dir or Path()
        names = self.columns
        table = self._interactions(folder)
        rows, bad_rows = table.good(self.on_bad_row)
        time = names.column_of("timestamp", table)
        timed = {"timestamp": time} if time else {}
        interactions = rows.select(user=names.user, item=names.item, **timed)
        profiles, bad_users = self._profiles(folder)
        items, bad_items = self._items(folder)
        describe = partial(templates.fill, self.template) if self.template else templates.attributes
        card = Card(name=self.name, title=self.name, sequential=self.sequential)
        nobody, bad = templates.attributes({}), bad_rows + bad_users + bad_items
        return assemble(card, interactions, profiles, describe, nobody, items, bad)

    def catalogue(self, data_dir: Path | None = None) -> Catalogue:
        """All items of the item table, in its order, whether or not anybody has touched them.

        Raises:
            InputError: the table is missing, or a row is bad.
        """
        folder = data_dir or Path()
        known, _ = self._items(folder)
        column = self.columns.item
        table = _open(folder, self.items).need((column,)).filled(column).unique(column)
        return known.of(tuple(table.good(self.on_bad_row)[0][column].to_list()))

    def _interactions(self, folder: Path) -> Table:
        names = self.columns
        table = _open(folder, self.interactions).need((names.user, names.item))
        time, rating = (names.column_of(key, table) for key in ("timestamp", "rating"))
        table = table.filled(names.user, names.item)
        if rating:
            table = table.numeric(rating)
        return with_times(table, time) if time else table

    def _profiles(self, folder: Path) -> tuple[Profiles, int]:
        user = self.columns.user
        if not self.users:
            if self.template:
                raise InputError("template needs user attributes: name their file, users = ...")
            return {}, 0
        table = _open(folder, self.users).need((user,)).filled(user).unique(user)
        templates.check_template(self.template, set(table.columns) - {user})
        rows, bad = table.good(self.on_bad_row)
        return profiles_of(_known(rows, user, self.users), user), bad

    def _items(self, folder: Path) -> tuple[Items, int]:
        item = self.columns.item
        if not self.items:
            return Items(), 0
        table = _open(folder, self.items).need((item,)).filled(item).unique(item)
        title = self.columns.column_of("title", table)
        rows, bad = table.good(self.on_bad_row)
        titles = dict(rows.select(item, title).iter_rows()) if title else {}
        rows = _known(rows.drop(*{title} - {""}), item, self.items)
        for name in self.features:
            if name not in rows.columns or name == item:
                raise InputError(
                    f"[data.features] {name}: {nearest(name, set(rows.columns) - {item})}"
                )
        features = {
            name: {
                key: present(value.split("|")) for key, value in rows.select(item, name).iter_rows()
            }
            for name in rows.columns
            if name != item
        }
        titles = {key: value for key, value in titles.items() if value}
        return Items(titles, features, self.features), bad


def _known(rows: pl.DataFrame, key: str, file: str) -> pl.DataFrame:
    """What the rows say but for the key, `plain`; how much is missing is logged."""
    names = [name for name in rows.columns if name != key]
    values = {name: [plain(value) for value in rows[name]] for name in names}
    gaps = {name: column.count("") for name, column in values.items()}
    if any(gaps.values()):
        counts = ", ".join(f"{name} of {gap:,}" for name, gap in gaps.items() if gap)
        logger.info(f"{file}: missing of {len(rows):,} rows: {counts}")
    return pl.DataFrame({key: rows[key], **values})


def _open(folder: Path, name: str) -> Table:
    path = find(folder, name) or folder / name
    suffixes = [suffix for suffix in path.suffixes if suffix not in (".gz", ".xz")]
    kind = suffixes[-1] if suffixes else ""
    if kind == ".parquet":
        return parse_parquet(read(path))
    if kind not in _LAYOUTS:
        raise InputError(
            f"{path} is of no known format: name it {', '.join((*_LAYOUTS, '.parquet'))}"
        )
    return parse(read(path), _LAYOUTS[kind])
