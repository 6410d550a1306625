"""``ufgraphfr privacy``: the guarantee of a run, and what of it is spent."""

from pathlib import Path
from typing import Annotated

import typer

from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.statement import statement


def privacy(folder: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Print a run's privacy statement, from its ledger."""
    run = RunFolder(folder)
    if not run.config.exists():
        raise InputError(f"{folder} is no run folder: name one that ufgraphfr run has written")
    print(statement(Ledger(run.ledger)), end="")
