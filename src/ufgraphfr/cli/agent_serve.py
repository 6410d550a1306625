"""``ufgraphfr agent serve`` and ``agent tokens``: a node's lists for the apps of the node."""

import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ufgraphfr.cli.group import group
from ufgraphfr.cli.serve import answer_until_told
from ufgraphfr.core.errors import MissingExtra
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agent.serve import listen
from ufgraphfr.deploy.agent.tokens import Tokens

tokens = group(no_args_is_help=True, help="Apps that may ask for users of this node.")
App = Annotated[str, typer.Argument(help="What to call the app.")]


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address; by default this machine alone.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8010,
    socket: Annotated[
        Path | None, typer.Option(help="A Unix socket to listen at instead of a port.")
    ] = None,
) -> None:
    """Serve this node's users to apps that have a token, and anybody by a history, over HTTP.

    Nothing of a request is kept or logged. A new release, new rows and forgotten people count from
    the next request on. SIGTERM answers what was asked and ends.
    """
    try:
        from ufgraphfr.serve.node import ServedNode, create_node_app
    except ModuleNotFoundError as error:
        raise MissingExtra("ufgraphfr agent serve", "serve") from error
    logging.getLogger("ufgraphfr").setLevel(logging.WARNING)
    folder: ShardFolder = context.obj
    node = ServedNode(folder)
    app = create_node_app(node)
    if socket is None:
        answer_until_told(app, node.version, host, port)
        return
    with listen(socket) as listener:
        try:
            answer_until_told(app, node.version, host, port, listener)
        finally:
            socket.unlink(missing_ok=True)


@tokens.command()
def add(context: typer.Context, app: App) -> None:
    """Make a token for an app. It is shown once: only a digest of it is kept."""
    # alone on its line, for scripts
    print(_tokens(context).add(app))


@tokens.command("list")
def list_(context: typer.Context) -> None:
    """Show which apps have a token."""
    for name in _tokens(context).names:
        Console(highlight=False).print(name, markup=False)


@tokens.command()
def revoke(context: typer.Context, app: App) -> None:
    """Take an app's token back, from its next request on."""
    _tokens(context).revoke(app)
    Console(highlight=False).print(f"revoked the token of {app}", markup=False)


def _tokens(context: typer.Context) -> Tokens:
    folder: ShardFolder = context.obj
    folder.signed()
    return Tokens(folder.tokens)
