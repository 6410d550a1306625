"""``ufgraphfr agent backup`` and ``restore``: a copy of a shard, and its way back."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ufgraphfr.deploy.agent.backup import back_up
from ufgraphfr.deploy.agent.backup import restore as put_back

File = Annotated[Path, typer.Argument(help="The copy, one file.")]
_RELEASE = "Newest release that the server has published, 0 for none: asked for under a guarantee."
_NOTHING = "The agent has answered nothing since the copy was made."


def backup(context: typer.Context, file: File) -> None:
    """Write a copy of the shard into one file, which is as personal as the shard."""
    back_up(context.obj, file)
    said = f"wrote {file}: people's data, which forget cannot reach; the node's key is not in it"
    Console(highlight=False).print(said, soft_wrap=True, markup=False)


def restore(
    context: typer.Context,
    file: File,
    release: Annotated[int | None, typer.Option(min=0, help=_RELEASE)] = None,
    nothing_since: Annotated[bool, typer.Option("--nothing-since", help=_NOTHING)] = False,
) -> None:
    """Put a copy in place; under a guarantee all that it may lack is charged for."""
    for line in put_back(context.obj, file, release, nothing_since):
        Console(highlight=False).print(line, soft_wrap=True, markup=False)
