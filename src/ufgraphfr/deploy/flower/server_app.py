"""Flower's ServerApp: the same run as `ufgraphfr run`, with nodes instead of a simulation."""

from functools import partial
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from ufgraphfr.deploy.flower.engine import FlowerEngine
from ufgraphfr.deploy.server.folder import ServerFolder
from ufgraphfr.deploy.server.liveness import heed_stop
from ufgraphfr.deploy.server.run import run

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the experiment of the folder that the run's configuration names."""
    folder = ServerFolder(Path(str(context.run_config["folder"])))
    run(folder, FlowerEngine(grid, folder.read_nodes(), partial(heed_stop, folder)))
