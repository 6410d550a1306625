"""``ufgraphfr tune``: search settings by validation, resumable; the best is a file that runs."""

import logging
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ufgraphfr.cli.tables import titled_table
from ufgraphfr.core.allocator import keep_freed_memory
from ufgraphfr.core.spec import parse
from ufgraphfr.evaluation.metrics import SELECTED_BY
from ufgraphfr.experiment.reading import read_values
from ufgraphfr.experiment.tune_spec import TuneSpec
from ufgraphfr.tuning.page import importances, write_page
from ufgraphfr.tuning.search import BEST, Tuning, trials_of
from ufgraphfr.tuning.search import tune as search
from ufgraphfr.tuning.trial import Trial

SHOWN = 5


def tune(
    file: Annotated[Path, typer.Argument(help="The experiment, a TOML file with [tune].")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A key with another value; repeatable.", metavar="KEY=VALUE"),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="How many are tried.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default runs/NAME-tune.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data set's files.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search; start it if it is not there.")
    ] = False,
) -> None:
    """Search for settings by validation; the test is never read.

    The space is [tune.search] of the file. What was tried is kept after each trial, and the best
    so far is a file that runs. Under a privacy budget a search is refused.
    """
    keep_freed_memory()
    logging.getLogger("ufgraphfr").setLevel(logging.WARNING)
    values, folder = read_values(file, tuple(set_ or ()))
    spec = parse(TuneSpec, values.get("tune", {}), "[tune]")
    if trials is not None:
        spec = spec.model_copy(update={"trials": trials})
    tuning = Tuning.of(values, folder, spec)
    out = out or Path("runs") / f"{tuning.experiment.name}-tune"
    console = Console(highlight=False)
    for trial in search(tuning, out, data_dir, resume, device):
        console.print(_line(trial, spec.trials), soft_wrap=True, markup=False)
    done = trials_of(out)
    page = write_page(tuning, done, out)
    console.print(_mattered(out))
    console.print(_best(done, list(tuning.space)))
    for line in (f"pictures: {page}", f"best: {out / BEST}", "next:"):
        console.print(line, soft_wrap=True, markup=False)
    console.print(f"  {shlex.join(('ufgraphfr', 'run', str(out / BEST)))}", soft_wrap=True)


def _line(trial: Trial, count: int) -> str:
    found = "-" if trial.value is None else f"{trial.value:.4f}"
    ended = {"complete": "", "fail": "  failed"}.get(trial.state, f"  given up at {trial.rounds}")
    chosen = "  ".join(f"{key}={_shown(value)}" for key, value in trial.values.items())
    return f"trial {trial.number + 1}/{count}  val {SELECTED_BY.upper()} {found}{ended}  {chosen}"


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _mattered(out: Path) -> Table:
    table = titled_table("what mattered to the validation (PED-ANOVA)")
    table.add_column("key", overflow="fold")
    table.add_column("share", justify="right")
    for key, share in importances(out).items():
        table.add_row(key, f"{share:.0%}")
    return table


def _best(done: list[Trial], keys: list[str]) -> Table:
    table = titled_table(f"the best {SHOWN}, by validation")
    for heading in ("trial", SELECTED_BY.upper(), *keys):
        table.add_column(heading, justify="right", overflow="fold")
    ended = [trial for trial in done if trial.value is not None and trial.state == "complete"]
    for trial in sorted(ended, key=lambda trial: -(trial.value or 0))[:SHOWN]:
        shown = [_shown(trial.values.get(key, "-")) for key in keys]
        table.add_row(str(trial.number + 1), f"{trial.value:.4f}", *shown)
    return table
