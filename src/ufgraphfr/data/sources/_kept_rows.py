"""Rows of large tables, kept in the cache as columns that the next run maps instead of reading.

A folder ``tables/DIGEST`` in the cache, of the files' content and of what says how they are read:
another content is another folder, and nothing in one ever changes. It is made beside its place and
renamed into it, so that a kill leaves no half of one and the first of two processes wins. It holds
users' data as their table does, is readable by its owner alone, and may be deleted at any time.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ufgraphfr.core.folders import cache_folder
from ufgraphfr.core.mapped import LARGE, MARK
from ufgraphfr.data.coded import Coded
from ufgraphfr.data.files import find
from ufgraphfr.data.sources._table_rows import Rows

_LOG = logging.getLogger(__name__)
_VERSION = 1
"""Of what is written, and of what the rules of reading make of files."""
MOST = 4
"""Tables that are kept: of more, those that were used last."""
_COLUMNS = ("user", "item", "timestamp", "part")
_FACTS, _NAMES = "facts.json", ("users", "items", "named")


def kept_rows(
    folder: Path, named: Sequence[tuple[str, int]], read_as: Any, read: Callable[[], Rows]
) -> Rows:
    """The rows of files, from the cache, or else as they are read; they are kept if they are many.

    Args:
        folder: where the files lie.
        named: the names of the files, and of each a number that says how it is read.
        read_as: all else that does, as JSON has it.
        read: reads them.
    """
    paths = [find(folder, name) for name, _ in named]
    there = [path for path in paths if path is not None and path.is_file()]
    if len(there) < len(paths):
        # one is missing, of which reading tells, or lies in an archive of several
        return read()
    names = [(Path(name).name, number) for name, number in named]
    digest = hashlib.sha256(json.dumps([_VERSION, names, read_as], sort_keys=True).encode())
    for path in there:
        digest.update(_digest(path).encode())
    place = cache_folder("tables", digest.hexdigest())
    try:
        rows = _load(place)
    except (OSError, ValueError, KeyError, pl.exceptions.PolarsError):
        # nothing is there, or it is damaged
        shutil.rmtree(place, ignore_errors=True)
        rows = read()
        if len(rows.coded) * 8 >= LARGE:
            _keep(place, rows)
        return rows
    _LOG.info("the rows of these files were read before and are taken from %s", place)
    return rows


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(folder: Path) -> Rows:
    facts = json.loads((folder / _FACTS).read_text())
    columns = dict[str, Any]()
    for name, (kind, digest) in facts.pop("columns").items():
        path = folder / f"{MARK}{name}"
        if _digest(path) != digest:
            raise ValueError(f"{path} is damaged")
        columns[name] = np.asarray(np.memmap(path, kind, "r"))
    users, items, named = (pl.read_parquet(folder / name)["name"] for name in _NAMES)
    # whoever is used last is kept longest
    os.utime(folder)
    coded = Coded(users=users, items=items, **columns)
    return Rows(coded, named.to_list(), **facts | {"notes": tuple(facts["notes"])})


def _keep(folder: Path, rows: Rows) -> None:
    """Write the rows; that it cannot be done is no more than a pity."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial-"))
        try:
            _write(beside, rows)
            os.rename(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        _forget(folder.parent)
    except OSError as error:
        if not folder.exists():
            _LOG.warning(
                "%s cannot be written (%s): the files are read again next time", folder, error
            )
        return
    _LOG.info("the rows of these files are kept in %s for the next run; it may be deleted", folder)


def _write(folder: Path, rows: Rows) -> None:
    columns = {name: getattr(rows.coded, name) for name in _COLUMNS}
    columns = {name: column for name, column in columns.items() if column is not None}
    digests = dict[str, str]()
    for name, column in columns.items():
        path = folder / f"{MARK}{name}"
        column.tofile(path)
        digests[name] = _digest(path)
    names = (rows.coded.users, rows.coded.items, pl.Series(list(rows.users), dtype=pl.String))
    for name, own in zip(_NAMES, names, strict=True):
        own.alias("name").to_frame().write_parquet(folder / name)
    facts = {name: getattr(rows, name) for name in ("read", "bad", "good", "ratings", "notes")}
    facts["columns"] = {name: (own.dtype.str, digests[name]) for name, own in columns.items()}
    (folder / _FACTS).write_text(json.dumps(facts))


def _forget(folder: Path) -> None:
    """Remove all but the latest tables, and what a killed process left a day ago or earlier."""
    found = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    whole = [path for path in found if not path.name.startswith(".")]
    newest = whole[0].stat().st_mtime if whole else 0.0
    stale = [
        path for path in found if path not in whole and path.stat().st_mtime < newest - 24 * 3600
    ]
    for path in (*whole[MOST:], *stale):
        shutil.rmtree(path, ignore_errors=True)
