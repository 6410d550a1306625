"""Shows what a doctor of a deployment found."""

from collections.abc import Iterable

import typer
from rich.console import Console

from ufgraphfr.deploy.operations.checks import Finding


def tell(console: Console, findings: Iterable[Finding]) -> None:
    """Print a line for each finding, and what must be done below it.

    Raises:
        typer.Exit: with code 1, something must be done.
    """
    to_do = 0
    for finding in findings:
        to_do += bool(finding.do)
        mark = "DO" if finding.do else "right"
        console.print(f"{mark:5} {finding.what}: {finding.said}", markup=False, soft_wrap=True)
        if finding.do:
            console.print(f"      -> {finding.do}", style="red", markup=False, soft_wrap=True)
    console.print(f"{to_do} to do" if to_do else "nothing must be done")
    if to_do:
        raise typer.Exit(1)
