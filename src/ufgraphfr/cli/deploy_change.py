"""What changes in the life of a deployment: ``ufgraphfr deploy amend|renew|backup|restore``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ufgraphfr.cli.deploy_options import Folder, PadKeys
from ufgraphfr.core.errors import InputError, MissingExtra
from ufgraphfr.deploy.operations.backup import back_up
from ufgraphfr.deploy.operations.backup import restore as put_back
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.server.ledger_heads import LedgerHeads

File = Annotated[Path, typer.Argument(help="The copy, one file.")]
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
    pad_keys: PadKeys = None,
) -> None:
    """Write the next amendment of the agreement, which each node's operator signs off."""
    try:
        from ufgraphfr.deploy.operations.amend import Changes, amend
    except ImportError:
        raise MissingExtra("deploy amend", "flower") from None
    joining = tuple(map(_joining, join or ()))
    leaving, keys = tuple(leave or ()), tuple(key or ())
    changes = Changes(joining, leaving, keys, items, new_authority, software, pad_keys)
    deployment = Deployment(folder.resolve())
    agreement = amend(deployment, changes).agreement
    last = agreement.amendments[-1]
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
        _tell(line)


def renew(folder: Folder) -> None:
    """Make the server's certificate anew, by the authority that every node knows."""
    try:
        from ufgraphfr.deploy.operations.certificates import write_server
    except ImportError:
        raise MissingExtra("deploy renew", "flower") from None
    deployment = Deployment(folder.resolve())
    settings = deployment.server.read_settings()
    write_server(deployment.server.tls, deployment.authority, settings.host)
    _tell(f"made {deployment.server.tls / 'server.crt'}: start the SuperLink anew")


def backup(folder: Folder, file: File) -> None:
    """Write a copy of the server into one file, keys and model too; between two rounds."""
    back_up(Deployment(folder.resolve()), file)
    _tell(f"wrote {file}, which holds the server's key")


def restore(folder: Folder, file: File) -> None:
    """Put a copy of the server in place."""
    for line in put_back(Deployment(folder.resolve()), file):
        _tell(line)


def readmit(
    folder: Folder, node: Annotated[str, typer.Argument(help="A node that was restored.")]
) -> None:
    """Take a node back whose ledger is another one since its operator restored it."""
    server = Deployment(folder.resolve()).server
    server.read_settings()
    LedgerHeads(server.ledger_heads).readmit(node)
    _tell(f"{node} is asked again from the next deploy start on, and answers from the next run on")


def _tell(line: str) -> None:
    Console(highlight=False).print(line, soft_wrap=True, markup=False)


def _joining(word: str) -> tuple[str, int]:
    name, _, clients = word.rpartition(":")
    if not name or not clients.isdecimal():
        raise InputError(f"--join {word}: give a name and its most users, as in shop-4:5000")
    return name, int(clients)
