"""Flower's ServerApp: the same run as `ufgraphfr run`, with nodes instead of a simulation."""

import os
import threading
import time
from functools import partial
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from ufgraphfr.deploy.flower.engine import FlowerEngine
from ufgraphfr.deploy.server.folder import ServerFolder
from ufgraphfr.deploy.server.liveness import heed_stop
from ufgraphfr.deploy.server.run import run

app = ServerApp()
GRACE_SECONDS = 5.0
"""What the engine has to end this process, once its parent is gone."""


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the experiment of the folder that the run's configuration names."""
    end_with_parent()
    folder = ServerFolder(Path(str(context.run_config["folder"])))
    run(folder, FlowerEngine(grid, folder.read_nodes(), partial(heed_stop, folder)))


def end_with_parent(grace: float = GRACE_SECONDS) -> None:
    """End this process when the engine's is gone, whatever it waits for.

    The engine interrupts it, which nobody hears who waits for threads that try for ever to reach a
    dead server; and as long as it lives the run is said to be under way. What was to be kept is.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        time.sleep(grace)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
