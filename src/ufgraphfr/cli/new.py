"""``ufgraphfr new``: an experiment on a person's own tables, every guess said."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.experiment.starting import own_tables

Named = Annotated[str, typer.Option(metavar="COLUMN", help="Its column, where it is not guessed.")]

KeyNamed = Annotated[
    str, typer.Option(metavar="COLUMN", help="Its column in its own table, where named otherwise.")
]


def new(
    file: Annotated[Path, typer.Argument(help="The experiment to write, a TOML file.")],
    interactions: Annotated[Path, typer.Option(help="Table of who interacted with what.")],
    users: Annotated[Path | None, typer.Option(help="Table of user attributes.")] = None,
    items: Annotated[Path | None, typer.Option(help="Table of item titles and features.")] = None,
    user_column: Named = "",
    item_column: Named = "",
    timestamp_column: Named = "",
    rating_column: Named = "",
    title_column: Named = "",
    user_key_column: KeyNamed = "",
    item_key_column: KeyNamed = "",
) -> None:
    """Write an experiment on your own tables that runs as it is.

    Columns are guessed from the headers; every guess is shown, and stands in the file.
    """
    if file.suffix != ".toml":
        raise InputError(f"{file} must end in .toml: it is an experiment")
    if file.exists():
        raise InputError(f"{file} exists and is never overwritten: name another file")
    said = {
        "user": user_column,
        "item": item_column,
        "timestamp": timestamp_column,
        "rating": rating_column,
        "title": title_column,
        "user_key": user_key_column,
        "item_key": item_key_column,
    }
    tables = own_tables(
        interactions, users, items, {key: each for key, each in said.items() if each}
    )
    write_atomically(file, tables.toml(file).encode())
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"wrote {file}")
    for line in (*(each.told() for each in tables.columns.values()), *tables.notes):
        console.print(f"  {line}")
    console.print("next:")
    for command in (("data", "describe"), ("run",)):
        console.print(f"  {shlex.join(('ufgraphfr', *command, str(file)))}")
