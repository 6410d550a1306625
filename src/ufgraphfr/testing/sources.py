"""What every data set owes: clean rows, readable texts free of ids, and the same every time."""

import gzip
import lzma
import re
import shutil
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.sources.base import Source
from ufgraphfr.testing.contracts import require, survives_a_round_trip

FEWEST = 3
"""Interactions of a user that can train, validate and be tested."""


@dataclass(frozen=True)
class Loading:
    """A data set and where its files are.

    Attributes:
        source: what reads them.
        folder: the files; None if it needs none, or looks for them itself.
        counts: users, items and interactions to expect.
        secrets: words of the files that no text may hold, such as postcodes.
    """

    source: Source
    folder: Path | None
    counts: tuple[int, int, int]
    secrets: frozenset[str]

    @cached_property
    def data(self) -> Dataset:
        """What is loaded."""
        return self.source.load(self.folder)


def check_source(
    source: Source,
    data_dir: Path | None = None,
    counts: tuple[int, int, int] | None = None,
    secrets: Collection[str] = (),
) -> None:
    """Hold a data set to its contracts.

    Args:
        source: with its settings.
        data_dir: its files, few enough to be read several times; they are not changed.
        counts: users, items and interactions to expect, where files are not those of the card.
        secrets: words of the files that no text may hold, such as postcodes.

    Raises:
        AssertionError: a contract is broken.
        InputError: the files cannot be read.
    """
    card = source.card
    known = (card.users, card.items, card.interactions)
    expected = counts or tuple(-1 if count is None else count for count in known)
    users, items, interactions = expected
    loading = Loading(source, data_dir, (users, items, interactions), frozenset(secrets))
    for contract in SOURCE_CONTRACTS:
        try:
            contract(loading)
        except AssertionError as broken:
            name = type(source).__name__
            raise AssertionError(f"{name} ({contract.__name__}): {broken}") from None


def has_a_whole_card(loading: Loading) -> None:
    """A public data set says its address, licence, citation and counts."""
    source, card = loading.source, loading.source.card
    survives_a_round_trip(source)
    require(bool(card.name and card.title), "its card has no name and title")
    counts = (card.users, card.items, card.interactions)
    whole = bool(card.licence and card.citation) and None not in counts
    require(not card.url or whole, "its card has an address, but no licence, citation or counts")


def has_the_counts(loading: Loading) -> None:
    """Users, items and interactions are as many as expected, where something is expected."""
    rows = loading.data.interactions
    found = (rows.n_users, rows.n_items, len(rows))
    for what, count, expected in zip(
        ("users", "items", "interactions"), found, loading.counts, strict=True
    ):
        require(expected in (-1, count), f"{count:,} {what} instead of {expected:,}")


def has_clean_rows(loading: Loading) -> None:
    """Pairs are distinct, users long enough, timestamps whole numbers."""
    rows = loading.data.interactions
    pairs = rows.user * rows.n_items + rows.item
    require(len(np.unique(pairs)) == len(pairs), "a user has the same item twice")
    require(int(np.bincount(rows.user).min()) >= FEWEST, f"a user has fewer than {FEWEST} items")
    stamps = rows.timestamp
    if stamps is not None:
        require(stamps.dtype == np.int64, f"timestamps are {stamps.dtype}, not int64")
        require(len(stamps) == len(rows), "there is not one timestamp for each interaction")


def has_texts_without_ids(loading: Loading) -> None:
    """A user's sentence is a sentence, and names neither users nor items."""
    data = loading.data
    ids = {*data.users.names, *data.catalogue.items, *loading.secrets}
    for text in data.users.texts:
        require(text.strip().endswith("."), f"this text is no sentence: '{text}'")
        told = set(re.findall(r"\w+", text)) & ids
        require(not told, f"a text holds {', '.join(sorted(told))}, an id: '{text}'")


def has_titles_and_features(loading: Loading) -> None:
    """Every item has a title, no title is a user's id, features are not empty throughout."""
    catalogue = loading.data.catalogue
    require(all(catalogue.titles), "an item has no title")
    require(not set(catalogue.titles) & set(loading.data.users.names), "a title is a user's id")
    for name, values in catalogue.features.items():
        require(len(values) == len(catalogue.items), f"'{name}' is not told of every item")
        require(any(values), f"no item has a '{name}'")


def loads_the_same_again(loading: Loading) -> None:
    """Loading twice gives the same interactions, users and items."""
    _same(loading.data, loading.source.load(loading.folder), "loading again gives other data")


def reads_compressed_files(loading: Loading) -> None:
    """Files packed by gzip or xz are read as they are."""
    if loading.folder is None:
        return
    for suffix, pack in ((".gz", gzip.compress), (".xz", lzma.compress)):
        with tempfile.TemporaryDirectory() as made:
            for path in loading.folder.iterdir():
                Path(made, path.name + suffix).write_bytes(pack(path.read_bytes()))
            packed = loading.source.load(Path(made))
        _same(loading.data, packed, f"{suffix} files are read as other data")


def names_a_missing_file(loading: Loading) -> None:
    """A file that is not there is an InputError that names it."""
    if loading.folder is None:
        return
    for missing in loading.folder.iterdir():
        with tempfile.TemporaryDirectory() as made:
            shutil.copytree(loading.folder, made, dirs_exist_ok=True)
            Path(made, missing.name).unlink()
            try:
                loading.source.load(Path(made))
            except InputError as error:
                require(missing.name in str(error), f"{missing.name} is missing, but: {error}")
            else:
                raise AssertionError(f"{missing.name} is missing, and nothing is said")


def _same(data: Dataset, again: Dataset, sentence: str) -> None:
    same = (data.sha256, data.users, data.catalogue) == (again.sha256, again.users, again.catalogue)
    require(same, sentence)


SOURCE_CONTRACTS: tuple[Callable[[Loading], None], ...] = (
    has_a_whole_card,
    has_the_counts,
    has_clean_rows,
    has_texts_without_ids,
    has_titles_and_features,
    loads_the_same_again,
    reads_compressed_files,
    names_a_missing_file,
)
