"""``ufgraphfr deploy amend`` and ``renew``: what changes in the life of a deployment."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ufgraphfr.core.errors import InputError, MissingExtra
from ufgraphfr.deploy.operations.folder import Deployment

Folder = Annotated[Path, typer.Argument(help="Folder of the deployment.")]
_JOIN = "A node that joins, and its most users: shop-4:5000. Repeatable."
_KEY = "A node whose supernode.pub is another one now. Repeatable."
_AUTHORITY = "Make the authority and the server's certificate anew."


def amend(
    folder: Folder,
    join: Annotated[list[str] | None, typer.Option(help=_JOIN)] = None,
    leave: Annotated[list[str] | None, typer.Option(help="A node that leaves.")] = None,
    key: Annotated[list[str] | None, typer.Option(help=_KEY)] = None,
    items: Annotated[Path | None, typer.Option(help="File of all items, old and new.")] = None,
    new_authority: Annotated[bool, typer.Option("--new-authority", help=_AUTHORITY)] = False,
    software: Annotated[
        str, typer.Option(help="The oldest release that every host runs, as 0.3.0.")
    ] = "",
) -> None:
    """Write the next amendment of the agreement, which each node's operator signs off."""
    try:
        from ufgraphfr.deploy.operations.amend import Changes, amend
    except ImportError:
        raise MissingExtra("deploy amend", "flower") from None
    joining = tuple(map(_joining, join or ()))
    leaving, keys = tuple(leave or ()), tuple(key or ())
    changes = Changes(joining, leaving, keys, items, new_authority, software)
    deployment = Deployment(folder.resolve())
    agreement = amend(deployment, changes).agreement
    last, console = agreement.amendments[-1], Console(highlight=False)
    told = [
        f"amendment {last.number}, {agreement.digest}",
        *(f"  {line}" for line in last.lines()),
        f"hand nodes/NAME/shard/amendments/ to each node; its operator signs it off there with "
        f"ufgraphfr agent --shard shard agree {agreement.digest}",
    ]
    if new_authority:
        told += ["replace ca.crt at each node, and start SuperLink and SuperNodes anew"]
    told += ["then ufgraphfr deploy start: it asks under the amendment, and agents follow"]
    for line in told:
        console.print(line, soft_wrap=True, markup=False)


def renew(folder: Folder) -> None:
    """Make the server's certificate anew, by the authority that every node knows."""
    try:
        from ufgraphfr.deploy.operations.certificates import write_server
    except ImportError:
        raise MissingExtra("deploy renew", "flower") from None
    deployment = Deployment(folder.resolve())
    settings = deployment.server.read_settings()
    write_server(deployment.server.tls, deployment.authority, settings.host)
    said = f"made {deployment.server.tls / 'server.crt'}: start the SuperLink anew"
    Console(highlight=False).print(said, soft_wrap=True, markup=False)


def _joining(word: str) -> tuple[str, int]:
    name, _, clients = word.rpartition(":")
    if not name or not clients.isdecimal():
        raise InputError(f"--join {word}: give a name and its most users, as in shop-4:5000")
    return name, int(clients)
