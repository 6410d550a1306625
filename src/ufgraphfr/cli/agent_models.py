"""``ufgraphfr agent models``: the releases that a node has, and which of them it serves."""

from typing import Annotated

import typer
from rich.console import Console

from ufgraphfr.cli.group import group
from ufgraphfr.cli.tables import titled_table
from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agent.models import Models

NEWEST = "newest"
app = group(no_args_is_help=True, help="Releases of the model at this node.")


@app.command("list")
def list_(context: typer.Context) -> None:
    """Show the releases that are here, and which one is served."""
    folder: ShardFolder = context.obj
    folder.signed()
    models, console = Models(folder.models), Console(highlight=False)
    if not models.numbers:
        console.print("no release has come yet: the server sends one when its run ends")
        return
    table = titled_table("[bold]releases[/]")
    for name in ("release", "round", "digest", "agreement", "guarantee", ""):
        table.add_column(name, overflow="fold")
    for number in models.numbers:
        release = models.release(number)
        digests = release.digest[:12], release.agreement[:12]
        use = "" if number != models.current else "chosen" if models.chosen else "served"
        table.add_row(str(number), str(release.round), *digests, release.guarantee, use)
    console.print(table)


@app.command()
def use(
    context: typer.Context,
    release: Annotated[str, typer.Argument(help=f"Its number, or {NEWEST}.")],
) -> None:
    """Serve this release from now on; with "newest" also those that will come."""
    models = _models(context)
    models.use(None if release == NEWEST else _number(release))
    chosen = "the newest release" if release == NEWEST else f"release {release}"
    _say(f"serving {chosen}" + ("" if release == NEWEST else f", until agent models use {NEWEST}"))


@app.command()
def drop(
    context: typer.Context,
    release: Annotated[int, typer.Argument(min=1, help="Its number.")],
) -> None:
    """Delete a release from this node; the one that is served stays."""
    _models(context).drop(release)
    _say(f"dropped release {release}")


def _models(context: typer.Context) -> Models:
    folder: ShardFolder = context.obj
    folder.signed()
    return Models(folder.models)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise InputError(f"release '{text}': give the number of one, or {NEWEST}")
    return int(text)


def _say(text: str) -> None:
    Console(highlight=False).print(text, soft_wrap=True)
