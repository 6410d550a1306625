"""``ufgraphfr run``: train and evaluate one experiment, with a live display."""

import logging
import shlex
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.markup import escape

from ufgraphfr.cli.compare import show_comparison
from ufgraphfr.cli.kinds import SEAMS
from ufgraphfr.cli.progress import watch
from ufgraphfr.cli.results import show_result
from ufgraphfr.core.allocator import keep_freed_memory
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.workers import joined, workers
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.reading import read
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.experiment.runner import execute

EXIT_INTERRUPTED = 130


def epilog() -> str:
    """The kinds that a TOML file may name, for ``--help``."""
    listed = [f"- **{table}** {', '.join(registry.kinds)}" for table, registry in SEAMS.items()]
    head = (
        "Kinds for each table of the file (or package.module.Class for your own; "
        "ufgraphfr describe KIND lists its keys):"
    )
    return "\n\n".join((head, *listed))


Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A key of the file with another value, as in algorithm.lr=0.05; repeatable.",
        metavar="KEY=VALUE",
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on with the run folder; start it if it is not there yet."),
]


def run(
    file: Annotated[Path, typer.Argument(help="The experiment, a TOML file.")],
    set_: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/NAME.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data set's files.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed than the file's.")] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Several, as in 0-4 or 0,7: a run folder for each.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default all.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Resume = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Serve the report meanwhile, on this machine alone.")
    ] = False,
) -> None:
    """Train and evaluate one experiment, into a run folder.

    A finished folder is never overwritten.

    A run that was stopped, however hard, goes on with --resume and ends with the same result.
    """
    if data_dir is not None and not data_dir.is_dir():
        raise InputError(f"--data-dir {data_dir} is not a folder: name the one with the files")
    if seed is not None and seeds is not None:
        raise InputError("--seed and --seeds: name one of them")
    if threads is not None:
        torch.set_num_threads(threads)
    keep_freed_memory()
    with joined() as group:
        # the first of several workers speaks for all
        quiet = quiet or not group.is_first
        if quiet:
            logging.getLogger("ufgraphfr").setLevel(logging.ERROR)
        console, changes, folders = Console(quiet=quiet), tuple(set_ or ()), list[Path]()
        for each in [seed] if seeds is None else _several(seeds):
            experiment = read(file, changes, each)
            own = out or _folder(experiment)
            folders.append(own if seeds is None else own.with_name(f"{own.name}-s{each}"))
            shown = live and group.is_first
            _run(console, experiment, folders[-1], data_dir, resume, device, shown)
        if seeds is not None and not quiet:
            show_comparison(console, folders)


def _folder(experiment: Experiment) -> Path:
    return Path("runs") / experiment.name


def _several(text: str) -> list[int]:
    """The seeds that are meant, each once."""
    found = list[int]()
    for part in text.split(","):
        first, to, last = part.partition("-")
        if not first.isdecimal() or (to and not last.isdecimal()):
            raise InputError(f"--seeds {text}: write whole numbers, as in 0-4 or 0,7")
        found += range(int(first), int(last if to else first) + 1)
    if not found:
        raise InputError(f"--seeds {text}: the first of a range is the smaller one, as in 0-4")
    return list(dict.fromkeys(found))


def _run(
    console: Console,
    experiment: Experiment,
    out: Path,
    data_dir: Path | None,
    resume: bool,
    device: str,
    live: bool,
) -> None:
    folder = RunFolder(out)
    console.print(_headline(experiment), highlight=False)
    try:
        with _served(folder.path, data_dir) if live else nullcontext() as address:
            if address is not None:
                console.print(f"report: {address} (until the run ends)", highlight=False)
            watch(console, execute(experiment, folder.path, data_dir, resume, device))
    except KeyboardInterrupt:
        again = shlex.join(("ufgraphfr", *(word for word in sys.argv[1:] if word != "--resume")))
        print(f"interrupted; go on with:  {again} --resume", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if not workers().is_first:
        return
    show_result(console, folder.result)
    held = "share no file of personal/" if experiment.is_private else "it holds personal data"
    console.print(
        f"run folder: {folder.path} ({held})",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    console.print(
        "next:",
        *next_commands(folder.path, data_dir),
        sep="\n  ",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _served(folder: Path, data_dir: Path | None) -> AbstractContextManager[str]:
    # it takes a while to import, and most runs are looked at in the end
    from ufgraphfr.report.live import live_report

    return live_report(folder, data_dir)


def next_commands(folder: Path, data_dir: Path | None) -> list[str]:
    """What people do with a finished run, ready to paste."""
    run = Run(folder)
    where = () if data_dir is None else ("--data-dir", str(data_dir))
    # who keeps weights of each user's own can serve nobody else
    whom = ("--user", str(run.ranks["user"][0])) if run.checkpoint.private else ("--history", "")
    return [
        shlex.join(("ufgraphfr", *words))
        for words in (
            ("recommend", str(folder), *whom, "--why", *where),
            ("report", str(folder), "--open", *where),
            ("serve", str(folder), *where),
            ("privacy", str(folder)),
        )
    ]


def _headline(experiment: Experiment) -> str:
    protocol = experiment.protocol.negatives
    split = ", given split" if experiment.protocol.split == "given" else ""
    shown = protocol if protocol == "honest" else f"[bold red]{protocol}[/]"
    return (
        f"[bold]{escape(experiment.name)}[/]: {escape(experiment.model.kind)} on "
        f"{escape(experiment.source.kind)}, seed {experiment.seed}, {shown} protocol{split}"
    )
