"""``ufgraphfr report``: one HTML file about finished or unfinished runs."""

import logging
import webbrowser
from pathlib import Path
from typing import Annotated

import torch
import typer

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.experiment.compare import compare
from ufgraphfr.report import gather, report_page

DataDir = Annotated[Path | None, typer.Option(help="Folder of the data set's files.")]


def report(
    folders: Annotated[list[Path], typer.Argument(help="Run folders.")],
    out: Annotated[
        Path | None, typer.Option(help="The file; default report.html in the first folder.")
    ] = None,
    test: Annotated[
        bool, typer.Option("--test", help="Show the test of several runs; one alone shows it.")
    ] = False,
    public: Annotated[
        bool, typer.Option("--public", help="Only what the guarantee lets you share.")
    ] = False,
    data_dir: DataDir = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Write a report on runs: one HTML file that needs no network.

    Several runs are compared as `ufgraphfr compare` does it: by validation, unless --test is given.
    """
    # what was left out of the data was told when the run was trained
    logging.getLogger("ufgraphfr").setLevel(logging.WARNING)
    # as in recommend: seconds of small steps, between which more threads only wait, at full speed
    torch.set_num_threads(1)
    place = out or default_place(folders[0], public)
    write_report(folders, place, test, public, data_dir)
    typer.echo(f"wrote {place}")
    if open_ and not webbrowser.open(place.resolve().as_uri()):
        typer.echo("no browser was found: open the file yourself")


def default_place(folder: Path, public: bool = False) -> Path:
    """Where a report goes: with what is personal where there is such a folder."""
    if public:
        return folder / "report-public.html"
    apart = folder / "personal"
    return (apart if apart.is_dir() else folder) / "report.html"


def write_report(
    folders: list[Path],
    place: Path,
    test: bool = False,
    public: bool = False,
    data_dir: Path | None = None,
) -> None:
    """Write the page; see `report`.

    Raises:
        InputError: a folder holds no run, or the file cannot be written.
    """
    alone = len(folders) == 1
    runs = [gather(folder, data_dir, test or alone, public) for folder in folders]
    rows = () if alone or public else compare(folders)
    try:
        write_atomically(place, report_page(runs, rows).encode())
    except OSError as error:
        raise InputError(
            f"cannot write {place} ({error.strerror}): name another file with --out"
        ) from None
