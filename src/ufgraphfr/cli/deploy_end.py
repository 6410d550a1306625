"""What ends a run of a deployment before its time: ``ufgraphfr deploy pause|stop``."""

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from ufgraphfr.cli.deploy_options import Folder
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.server.folder import ServerFolder
from ufgraphfr.deploy.server.liveness import ask_pause, ask_stop, lives
from ufgraphfr.deploy.server.metrics import read_metrics


def pause(folder: Folder) -> None:
    """End the run once its round is done; checkpoint and ledger stay, deploy start goes on."""
    _end(folder, ask_pause, "the run ends with this round")


def stop(folder: Folder) -> None:
    """End the run now, without the round that it waits for; deploy start goes on before it.

    What nodes were asked for in that round stays in their ledgers.
    """
    _end(folder, ask_stop, "the run ends without the round that it waits for")


def _end(folder: Path, ask: Callable[[ServerFolder], None], told: str) -> None:
    """Wish that a run ends, and wait until it has."""
    server, console = Deployment(folder.resolve()).server, Console(highlight=False)
    server.read_settings()
    ask(server)
    console.print(told, soft_wrap=True)
    while lives(server):
        time.sleep(0.2)
    values = read_metrics(server.metrics)
    console.print(f"{values['state']} after round {values['rounds']}", markup=False, soft_wrap=True)
