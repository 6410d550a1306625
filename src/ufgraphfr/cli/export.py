"""``ufgraphfr export``: a run for others, as its public part, a program of its own, or a table."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from ufgraphfr.core.errors import InputError, MissingExtra
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.publish import publish

Format = Literal["onnx", "web", "predictions"]
Columns = Literal["ufgraphfr", "rectools", "lenskit", "ranx"]
FORMATS = {
    "onnx": "a model that onnxruntime runs, without torch",
    "web": "one page that recommends in a browser, without a network",
    "predictions": "the lists of the test's users as a table, .csv, .parquet or .jsonl",
}


def export(
    folder: Annotated[Path, typer.Argument(help="A finished run folder.")],
    file: Annotated[Path | None, typer.Argument(help="What to write, with --format.")] = None,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format", help="; ".join(f"{name}: {what}" for name, what in FORMATS.items()) + "."
        ),
    ] = None,
    public: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write what may be given away; it must not exist yet."),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="onnx: weights in 8 bits.")] = False,
    n: Annotated[
        int | None, typer.Option("-n", "--n", min=1, help="predictions: how many items. [10]")
    ] = None,
    columns: Annotated[
        Columns | None, typer.Option(help="predictions: whose names of columns. [ufgraphfr]")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data set's files.")] = None,
) -> None:
    """Write a run in a form for others.

    --public: the model without private weights, the privacy statement, the settings without paths,
    and the environment. That is what the guarantee covers, and only that; a run without a guarantee
    is refused.
    """
    console = Console(highlight=False, soft_wrap=True, markup=False)
    _check(form, file, public, int8, n is not None or columns is not None)
    if public is not None:
        names = publish(folder, public)
        console.print(f"wrote {public}: {', '.join(names)}")
        console.print("read its privacy.md before you share it: it says what is not covered")
        return
    assert file is not None
    # what was left out of the data was told when the run was trained
    logging.getLogger("ufgraphfr").setLevel(logging.WARNING)
    run = Run(folder)
    if form == "onnx":
        console.print(_onnx(run, file, int8, data_dir))
    elif form == "web":
        _web(console, run, file, data_dir)
    else:
        console.print(_predictions(run, file, n or 10, columns or "ufgraphfr", data_dir))


def _check(
    form: Format | None, file: Path | None, public: Path | None, int8: bool, table: bool
) -> None:
    if (public is None) == (form is None) or (form is None) != (file is None):
        raise InputError(f"say what: --public DIR, or --format {'|'.join(FORMATS)} FILE")
    if int8 and form != "onnx":
        raise InputError("--int8 goes with --format onnx")
    if form != "predictions" and table:
        raise InputError("-n and --columns go with --format predictions")


def _onnx(run: Run, file: Path, int8: bool, data_dir: Path | None) -> str:
    try:
        from ufgraphfr.export.onnx.file import exported
        from ufgraphfr.export.onnx.measured import cost
    except ModuleNotFoundError as error:
        raise MissingExtra("ufgraphfr export --format onnx", "export") from error
    prepared = run.prepared(data_dir)
    content = exported(run, prepared, int8=int8).SerializeToString()
    write_atomically(file, content)
    found = cost(content, run, prepared)
    return (
        f"wrote {file}: {len(content) / 1e6:.1f} MB; over {found.users:,} users a score differs by "
        f"at most {found.largest:.1g} from the run's, and {found.overlap:.1%} of the ten best are "
        f"the same"
    )


def _web(console: Console, run: Run, file: Path, data_dir: Path | None) -> None:
    try:
        from ufgraphfr.export.web.page import page
    except ModuleNotFoundError as error:
        raise MissingExtra("ufgraphfr export --format web", "export") from error
    text, asked = page(run, run.prepared(data_dir))
    content = text.encode()
    write_atomically(file, content)
    console.print(f"wrote {file}: {len(content) / 1e6:.1f} MB; open it in a browser")
    if asked.fields:
        console.print(f"it asks for {', '.join(asked.fields)}")
    for name, count in asked.left_out.items():
        console.print(f"it does not ask for {name}: its {count:,} values make too many sentences")
    console.print(f"{run.guarantee}: before you share the file, see ufgraphfr privacy {run.folder}")


def _predictions(run: Run, file: Path, n: int, columns: Columns, data_dir: Path | None) -> str:
    from ufgraphfr.data.frames import write_rows
    from ufgraphfr.export.predictions import predictions

    prepared = run.prepared(data_dir)
    rows = write_rows(predictions(run, prepared, n, columns), file)
    users = len(prepared.test.clients)
    return (
        f"wrote {file}: {rows:,} rows, the {n} best items of {users:,} users and what each took "
        f"next; it holds personal data"
    )
