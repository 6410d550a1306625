"""``ufgraphfr privacy``: the guarantee of a run, and what of it is spent."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ufgraphfr.audit.privacy_facts import privacy_facts
from ufgraphfr.audit.privacy_page import privacy_page
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.privacy.accounted.registry import Registry
from ufgraphfr.privacy.accounted.statement import statement


def privacy(
    folder: Annotated[Path, typer.Argument(help="A run folder.")],
    html: Annotated[Path | None, typer.Option(help="Write one page for a board here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the page's facts.")] = False,
    owner: Annotated[str | None, typer.Option(help="Who answers for the run, on the page.")] = None,
) -> None:
    """Print a run's privacy statement, from its ledger, and what all runs on its data spent."""
    run = RunFolder(folder)
    if not run.config.exists():
        raise InputError(f"{folder} is no run folder: name one that ufgraphfr run has written")
    if html is not None or as_json:
        facts = privacy_facts(folder, owner)
        if html is not None:
            _write(html, privacy_page(facts))
        if as_json:
            print(json.dumps(facts, indent=2, ensure_ascii=False))
        else:
            print(f"written to {html}")
        return
    ledger, registry = run.read_ledger(), Registry(())
    print(statement(ledger), end="")
    registry.check(ledger)
    together = registry.together(ledger)
    if together is not None and together.runs > 1:
        print(f"\nAll runs: {together}.")


def _write(path: Path, page: str) -> None:
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror}): name another file") from None
