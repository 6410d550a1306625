"""A first experiment on a person's own tables: columns from their headers, each guess kept."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ufgraphfr.baselines import BASELINES
from ufgraphfr.core.derived import DataFacts, Derived
from ufgraphfr.core.errors import InputError
from ufgraphfr.data.facts import facts_of
from ufgraphfr.data.headers import Guess, flag, guess, header_of, need
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.experiment.derive import flagship_settings

BESIDE = "popularity", "ease", "closed-forms"
"""Baselines that a first experiment asks for, as far as they fit."""


@dataclass(frozen=True)
class OwnTables:
    """A person's files and which columns of them hold what.

    Attributes:
        files: path by key of ``[data]``: interactions, users, items.
        columns: by key of ``[data.columns]``.
        notes: what else was found out, a sentence each.
    """

    files: dict[str, Path]
    columns: dict[str, Guess]
    notes: tuple[str, ...]

    def values(self) -> dict[str, Any]:
        """The ``[data]`` table, with paths from the current folder."""
        return {
            "kind": "table",
            **{key: str(path) for key, path in self.files.items()},
            "columns": {key: each.column for key, each in self.columns.items()},
        }

    def toml(self, place: Path) -> str:
        """An experiment that runs as it is, to be written at ``place``.

        Files are named from the folder of ``place``, so that all can be moved together. The tables
        are read, so that the file can say which settings follow from them.

        Raises:
            InputError: the tables cannot be read.
        """
        keys = self.values()
        source = SOURCES.build(keys.pop("kind"), keys, "[data]")
        rows = source.load(None).interactions
        facts = facts_of(rows, rows.n_users)
        lines = [
            "# An experiment on your own tables. Every key: ufgraphfr describe table, "
            "ufgraphfr describe ufgraphformer",
            "seed = 0",
            "",
            "[data]",
            'kind = "table"',
        ]
        folder = place.parent.resolve()
        for key, path in self.files.items():
            name = Path(os.path.relpath(path.resolve(), folder)).as_posix()
            lines.append(f"{key} = {_text(name)}")
        lines += ["", *(f"# {_line(note)}" for note in self.notes), "[data.columns]"]
        for each in self.columns.values():
            lines += [f"# {_line(each.told())}", f"{each.key} = {_text(each.column)}"]
        return "\n".join((*lines, *_rest(flagship_settings(facts), facts), ""))


def own_tables(
    interactions: Path, users: Path | None, items: Path | None, said: Mapping[str, str]
) -> OwnTables:
    """Look into the headers of a person's tables.

    Args:
        interactions: the file of interactions.
        users: that of user attributes.
        items: that of titles and features.
        said: columns by key, where the person named them.

    Raises:
        InputError: a file cannot be read, or no column is known to be the user or the item.
    """
    headers = {path: header_of(path) for path in (interactions, users, items) if path}
    header = headers[interactions]
    name = interactions.name
    columns = need(name, header, ("user", "item"), said)
    columns |= guess(name, header, ("timestamp", "rating"), said)
    files = {"interactions": interactions}
    for key, path, noun in (("users", users, "user"), ("items", items, "item")):
        if path is not None:
            files[key] = path
            columns |= _key_of(path.name, headers[path], noun, columns[noun].column, said)
    if items is not None:
        columns |= guess(items.name, headers[items], ("title",), said)
    elif "title" in said:
        raise InputError(f"--title-column {said['title']}: titles are in a table of items, --items")
    for noun, path in (("user", users), ("item", items)):
        if path is None and (column := said.get(f"{noun}_key")):
            raise InputError(f"{flag(f'{noun}_key')} {column}: name its table too, --{noun}s")
    notes = []
    if "timestamp" not in columns:
        notes.append(
            f"no column of {name} is known to be a time: order means nothing, unless you name "
            f"one (timestamp, --timestamp-column) or set sequential = true"
        )
    return OwnTables(files, columns, tuple(notes))


def _key_of(
    file: str,
    header: Sequence[str],
    noun: str,
    column: str | tuple[str, ...],
    said: Mapping[str, str],
) -> dict[str, Guess]:
    """The id's column in a table of users or items, where it is called otherwise there."""
    key = f"{noun}_key"
    if key not in said and column in header:
        return {}
    return need(file, header, (key,), said)


def _rest(derived: Sequence[Derived], facts: DataFacts) -> tuple[str, ...]:
    sizes = facts.users, facts.items, facts.interactions
    fits = {kind: BASELINES.build(kind, {}, "baselines").fits(*sizes) for kind in BESIDE}
    return (
        "",
        "# what follows from the data, unless you set it in its table:",
        *(f"# {each}" for each in derived),
        "",
        "[algorithm]",
        'kind = "ufgraphformer"',
        "",
        "[evaluation]",
        *(f"# {kind} is left out: it needs too much memory" for kind in BESIDE if not fits[kind]),
        f"baselines = {json.dumps([kind for kind in BESIDE if fits[kind]])}",
    )


def _line(text: str) -> str:
    """A comment is one line, whatever a header holds."""
    return "".join(each if each.isprintable() else " " for each in text)


def _text(value: str | tuple[str, ...]) -> str:
    # strings of JSON, and lists of them, are those of TOML
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
