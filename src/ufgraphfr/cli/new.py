"""``ufgraphfr new``: an experiment on a person's own tables, every guess said."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ufgraphfr.cli.data import Settings, said_of
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.experiment.starting import own_tables


def new(
    file: Annotated[Path, typer.Argument(help="The experiment to write, a TOML file.")],
    interactions: Annotated[Path, typer.Option(help="Table of who interacted with what.")],
    users: Annotated[Path | None, typer.Option(help="Table of user attributes.")] = None,
    items: Annotated[Path | None, typer.Option(help="Table of item titles and features.")] = None,
    settings: Settings = None,
) -> None:
    """Write an experiment on your own tables that runs as it is.

    Columns are guessed from the headers; every guess is shown, and stands in the file. What is not
    guessed is set: --set columns.user=who --set encoding=cp1252.
    """
    if file.suffix != ".toml":
        raise InputError(f"{file} must end in .toml: it is an experiment")
    if file.exists():
        raise InputError(f"{file} exists and is never overwritten: name another file")
    files = {key: str(path) for key, path in (("users", users), ("items", items)) if path}
    tables = own_tables(interactions, said_of(settings) | files)
    write_atomically(file, tables.toml(file).encode())
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"wrote {file}")
    for line in (*(each.told() for each in tables.guesses.values()), *tables.notes):
        console.print(f"  {line}")
    console.print("next:")
    for command in (("data", "describe"), ("run",)):
        console.print(f"  {shlex.join(('ufgraphfr', *command, str(file)))}")
