"""``ufgraphfr privacy``: the guarantee of a run, and what of it is spent."""

from pathlib import Path
from typing import Annotated

import typer

from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.privacy.accounted.registry import Registry
from ufgraphfr.privacy.accounted.statement import statement


def privacy(folder: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Print a run's privacy statement, from its ledger, and what all runs on its data spent."""
    run = RunFolder(folder)
    if not run.config.exists():
        raise InputError(f"{folder} is no run folder: name one that ufgraphfr run has written")
    ledger, registry = run.read_ledger(), Registry(())
    print(statement(ledger), end="")
    registry.check(ledger)
    together = registry.together(ledger)
    if together is not None and together.runs > 1:
        print(f"\nAll runs: {together}.")
