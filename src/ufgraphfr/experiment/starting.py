"""A first experiment on a person's own tables: columns from their headers, each guess kept."""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ufgraphfr.baselines import BASELINES
from ufgraphfr.core.derived import DataFacts, Derived
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.spec import parse
from ufgraphfr.data.facts import facts_of
from ufgraphfr.data.headers import Guess, guess, header_of, need
from ufgraphfr.data.sources.table import TableSource
from ufgraphfr.experiment.derive import flagship_settings

BESIDE = "popularity", "ease", "closed-forms"
"""Baselines that a first experiment asks for, as far as they fit."""


@dataclass(frozen=True)
class OwnTables:
    """A person's files and which columns of them hold what.

    Attributes:
        files: path by key of ``[data]``: interactions, users, items.
        settings: what the person set in ``[data]`` besides.
        named: columns that the person named, by key of ``[data.columns]``.
        guesses: the others that were found.
        notes: what else was found out, a sentence each.
    """

    files: dict[str, Path]
    settings: dict[str, Any]
    named: dict[str, Any]
    guesses: dict[str, Guess]
    notes: tuple[str, ...]

    @property
    def source(self) -> TableSource:
        """These data, with paths from the current folder."""
        files = {key: str(path) for key, path in self.files.items()}
        columns = {key: each.column for key, each in self.guesses.items()} | self.named
        return parse(TableSource, {**files, **self.settings, "columns": columns}, "[data]")

    def toml(self, place: Path) -> str:
        """An experiment that runs as it is, to be written at ``place``.

        Files are named from the folder of ``place``, so that all can be moved together. The tables
        are read, so that the file can say which settings follow from them.

        Raises:
            InputError: the tables cannot be read.
        """
        rows = self.source.load(None).interactions
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
        lines += [f"{key} = {_text(value)}" for key, value in self.settings.items()]
        lines += ["", *(f"# {_line(note)}" for note in self.notes)]
        if self.guesses or self.named:
            lines.append("[data.columns]")
        for each in self.guesses.values():
            lines += [f"# {_line(each.told())}", f"{each.key} = {_text(each.column)}"]
        lines += [f"{key} = {_text(column)}" for key, column in self.named.items()]
        return "\n".join((*lines, *_rest(flagship_settings(facts), facts), ""))


def own_tables(interactions: Path, said: Mapping[str, Any]) -> OwnTables:
    """Look into the headers of a person's tables.

    Args:
        interactions: the file of interactions.
        said: other keys of ``[data]``: the files of users and items, how files are read, and
            columns, which are not guessed.

    Raises:
        InputError: a file cannot be read, no column is known to be the user or the item, or what
            is said is wrong.
    """
    if "interactions" in said:
        raise InputError(f"--set interactions={said['interactions']}: {interactions} is the table")
    table = parse(TableSource, {"interactions": str(interactions), **said}, "[data]")
    settings = dict(said)
    named = settings.pop("columns", {})
    files = ((key, settings.pop(key, None)) for key in ("users", "items"))
    there = {"interactions": interactions, **{key: Path(path) for key, path in files if path}}
    guesses, notes = dict[str, Guess](), list[str]()
    if table.layout == "rows":
        own = interactions.name, header_of(interactions, table.opening)
        guesses |= need(*own, [key for key in ("user", "item") if key not in named])
        guesses |= guess(*own, [key for key in ("timestamp", "rating") if key not in named])
        if "timestamp" not in {**guesses, **named} and "sequential" not in settings:
            notes.append(
                f"no column of {interactions.name} is known to be a time: order means nothing, "
                f"unless you name one (--set columns.timestamp=COLUMN) or set sequential = true"
            )
    for noun, keys in (("user", ("user_key",)), ("item", ("item_key", "title"))):
        if path := there.get(f"{noun}s"):
            column = guesses[noun].column if noun in guesses else named.get(noun, noun)
            guesses |= _beside(path.name, header_of(path, table.opening), noun, column, named)
        else:
            for key in named.keys() & set(keys):
                raise InputError(f"--set columns.{key}={named[key]}: name its table too, --{noun}s")
    return OwnTables(there, settings, named, guesses, tuple(notes))


def _beside(
    file: str, header: Sequence[str], noun: str, column: object, named: Collection[str]
) -> dict[str, Guess]:
    """Columns of a table of users or items: its id, where it is called otherwise, and titles."""
    key = f"{noun}_key"
    found = {} if key in named or column in header else need(file, header, (key,))
    if noun == "item" and "title" not in named:
        found |= guess(file, header, ("title",))
    return found


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


def _text(value: Any) -> str:
    """A value in TOML, on one line."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_text(key)} = {_text(each)}' for key, each in value.items())} }}"
    # strings, numbers and lists of JSON are those of TOML
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
