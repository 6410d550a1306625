"""``ufgraphfr audit``: attack a finished run, and show what was found beside its guarantee."""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ufgraphfr.audit.attacks import ATTACKS
from ufgraphfr.audit.recording import FinishedRun
from ufgraphfr.audit.report import Audit, number
from ufgraphfr.audit.run import audit as run_audit
from ufgraphfr.cli.tables import titled_table
from ufgraphfr.deploy.agreement.invented import invented
from ufgraphfr.deploy.server.folder import ServerFolder
from ufgraphfr.deploy.server.participants import documents_of_run
from ufgraphfr.experiment.run_folder import RunFolder

EXIT_FAILED = 1
STYLES = {"FAIL": "bold red", "recovered": "red", "partly": "yellow", "pass": "green"}


def audit(
    folder: Annotated[Path, typer.Argument(help="A finished run folder.")],
    attack: Annotated[
        list[str] | None,
        typer.Option(help=f"One of {', '.join(ATTACKS.kinds)}; repeatable; default all."),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Rounds to replay after the checkpoint.")] = 20,
    victims: Annotated[int, typer.Option(help="Clients whose uploads are watched.")] = 50,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data set's files.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default all.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Attack what a run lets out; exit code 1 if more is found than its guarantee allows.

    The run goes on for some rounds through the real client and server; its weights are not
    changed. Figures are written to audit.json and audit.md in the run folder, under a
    guarantee in its folder personal/. Of a deployment name server/run: what needs users' rows,
    which are with the nodes, is left out and said.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if quiet:
        logging.getLogger("ufgraphfr").setLevel(logging.ERROR)
    deployed = _deployed(folder)
    done = run_audit(folder, tuple(attack or ()), data_dir, rounds, victims, deployed)
    console = Console(quiet=quiet, highlight=False)
    console.print(_table(done))
    for sentence in (*done.summary(), *done.skipped):
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(f"written to {RunFolder(folder).own / 'audit.md'}", markup=False, soft_wrap=True)
    if done.failed:
        raise typer.Exit(EXIT_FAILED)


def _deployed(folder: Path) -> FinishedRun | None:
    """The run of a deployment's server, where a folder is one."""
    server = ServerFolder(folder.resolve().parent)
    if folder.resolve() != server.run or not server.agreement.exists():
        return None
    found = invented(documents_of_run(server))
    return FinishedRun.of_deployment(folder, found.prepared, found.mechanism)


def _table(done: Audit) -> Table:
    table = titled_table(
        f"[bold]{escape(done.name)}[/]: {escape(done.algorithm)}, privacy {done.mechanism}",
        collapse_padding=True,
    )
    # the attack has a line of its own, or 80 characters leave none for the measure
    table.add_column("attack, on what: measure")
    for heading in ("value", "at least", "chance", "ceiling"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    before = ""
    for line in done.lines:
        found = line.finding
        name = f"{line.attack}, {found.view}"
        if name != before:
            table.add_row(f"[bold]{name}[/]")
        table.add_row(
            f"  {found.measure}",
            number(found.value),
            number(found.low),
            number(found.chance),
            number(line.ceiling),
            f"[{STYLES.get(line.verdict, 'dim')}]{line.verdict}[/]",
        )
        before = name
    return table
