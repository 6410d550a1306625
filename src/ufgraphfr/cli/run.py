"""``ufgraphfr run``: train and evaluate one experiment, with a live display."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Display

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.cli.results import results_table
from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment.artifacts import RunFolder
from ufgraphfr.experiment.config import read
from ufgraphfr.experiment.runner import execute
from ufgraphfr.experiment.training import Progress


def run(
    file: Annotated[Path, typer.Argument(help="The experiment, a TOML file.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="table.key=value instead of the file's.", metavar="KEY=VALUE"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/<name>.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data set's files.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed instead of the file's.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default all.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the folder, if it is there.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Train and evaluate one experiment."""
    if data_dir is not None and not data_dir.is_dir():
        raise InputError(f"--data-dir {data_dir} is not a folder: name the one with the files")
    if threads is not None:
        torch.set_num_threads(threads)
    experiment = read(file, tuple(set_ or ()), seed)
    folder = RunFolder(out or Path("runs") / experiment.name)
    console = Console(quiet=quiet)
    console.print(
        f"[bold]{experiment.name}[/]: {experiment.model.kind} on {experiment.source.kind}, "
        f"protocol {experiment.protocol.negatives}, {experiment.mechanism.guarantee}",
        highlight=False,
    )
    steps = execute(experiment, folder.path, data_dir, resume, device)
    rounds = experiment.federation.rounds if isinstance(experiment.model, Algorithm) else 0
    if console.is_terminal and not quiet:
        _live(console, steps, rounds)
    else:
        _plain(console, steps)
    console.print(results_table(folder.result))
    console.print(f"run folder: {folder.path}", highlight=False, soft_wrap=True)


def _plain(console: Console, steps: Iterator[Progress]) -> None:
    """A line for each evaluated round, for logs and pipes."""
    for step in steps:
        if step.validation is not None:
            rate = step.clients / max(step.seconds, 1e-9)
            console.print(
                f"round {step.round}/{step.rounds}  loss {step.loss:.4f}  "
                f"validation NDCG@10 {step.validation['full']['ndcg@10']:.4f}  "
                f"{rate:.0f} clients/s",
                highlight=False,
            )
            sys.stdout.flush()


def _live(console: Console, steps: Iterator[Progress], rounds: int) -> None:
    """A bar with loss, validation, speed and the time that is left."""
    display = Display(
        TextColumn("round"),
        MofNCompleteColumn(),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[facts]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
        console=console,
    )
    validation = "-"
    with display:
        bar = display.add_task("", total=rounds or None, facts="preparing")
        clients, since = 0, time.perf_counter()
        for step in steps:
            if step.validation is not None:
                validation = f"{step.validation['full']['ndcg@10']:.4f}"
            clients += step.clients
            rate = clients / (time.perf_counter() - since)
            facts = f"loss {step.loss:.4f}  val NDCG@10 {validation}  {rate:.0f} clients/s"
            display.update(bar, completed=step.round, facts=facts)
