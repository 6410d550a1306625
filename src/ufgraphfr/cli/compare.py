"""``ufgraphfr compare``: runs side by side, with the paired significance of their differences."""

import csv
import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ufgraphfr.cli.latex import latex_table
from ufgraphfr.cli.results import Columns, columns, metrics_table
from ufgraphfr.cli.tables import titled_table
from ufgraphfr.core.errors import InputError
from ufgraphfr.evaluation.results import RANKINGS
from ufgraphfr.experiment.compare import TESTED, VALIDATION, Row
from ufgraphfr.experiment.compare import compare as compare_runs

CLAIM_SEEDS = 5
SETTINGS = 3
"""So many of those that differ are shown of a run."""


def compare(
    folders: Annotated[list[Path], typer.Argument(help="Finished run folders.")],
    test: Annotated[
        bool,
        typer.Option("--test", help="Show the test, and how sure differences are; look once."),
    ] = False,
    at_most: Annotated[
        int | None,
        typer.Option(min=1, help="Only users of whom the test knows at most so many items."),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Show this metric, as in recall@20; repeatable."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="As JSON, a list of rows.")] = False,
    csv_: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="As a LaTeX table (booktabs).")] = False,
) -> None:
    """Compare finished runs; runs that differ in their seed alone become one row.

    Shown is the validation, by which settings may be chosen. The test is for what has been chosen.
    """
    if at_most is not None and not test:
        raise InputError("--at-most counts what the test knows of a user: add --test")
    if json_ + csv_ + latex > 1:
        raise InputError("--json, --csv and --latex: name one of them")
    rows = compare_runs(folders, at_most, metrics or ())
    if json_ or csv_:
        facts = [_facts(row, test) for row in rows]
        print(json.dumps(facts, indent=2)) if json_ else _write_csv(facts)
    elif latex:
        print(latex_table(rows, _shown(rows, test), [_plain(row, rows) for row in rows], test))
    else:
        _print(Console(highlight=False), rows, test, at_most)


def show_comparison(console: Console, folders: list[Path]) -> None:
    """Print runs that were shown one by one as the row, or rows, that they are."""
    _print(console, compare_runs(folders), test=True, at_most=None)


def _print(console: Console, rows: list[Row], test: bool, at_most: int | None) -> None:
    console.print(_metrics(rows, test, at_most))
    if not test:
        console.print("the test is shown with --test", highlight=False)
    elif len(rows) > 1:
        console.print(_differences(rows))
        if min(len(row.seeds) for row in rows) < CLAIM_SEEDS:
            console.print(
                f"a claim needs at least {CLAIM_SEEDS} seeds of each run", highlight=False
            )


def _facts(row: Row, test: bool) -> dict[str, Any]:
    """What a file holds of a row; one seed has no spread."""
    hidden = () if test else (*RANKINGS, "new items", TESTED)
    return {
        key: value
        for key, value in row.facts.items()
        if not key.startswith(hidden) and not (isinstance(value, float) and math.isnan(value))
    }


def _write_csv(facts: list[dict[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, dict.fromkeys(key for row in facts for key in row))
    writer.writeheader()
    writer.writerows(facts)


def _shown(rows: list[Row], test: bool) -> Columns:
    """Which figures: ranking, metric and heading."""
    shown = columns(dict.fromkeys(name for row in rows for name in row.metrics))
    if not test:
        return tuple((VALIDATION, name, text) for ranking, name, text in shown if ranking == "full")
    if any(row.mean["new items"] for row in rows):
        return (*shown, ("new items", "ndcg@10", "new items\nNDCG@10"))
    return shown


def _metrics(rows: list[Row], test: bool, at_most: int | None) -> Table:
    shown = _shown(rows, test)
    who = "" if at_most is None else f" of users with at most {at_most} known items"
    part = "test" if test else "validation"
    title = f"[bold]{part}[/]{who}: mean over seeds, ± standard deviation"
    table = metrics_table(title, "run (seeds)", shown)
    for row in rows:
        cells = [_cell(row, ranking, name) for ranking, name, _ in shown]
        table.add_row(f"{_name(row, rows)} ({len(row.seeds)})", *cells)
        if own := [f"{key}={value}" for key, value in row.differs.items()]:
            more = f", {len(own) - SETTINGS} more" if len(own) > SETTINGS else ""
            table.add_row(f"  [dim]{escape(', '.join(own[:SETTINGS]))}{more}[/]")
    return table


def _name(row: Row, rows: list[Row]) -> str:
    """The run's name, with its data set if there are several, and marked if it is leaky."""
    data = f" on {escape(row.data)}" if len({other.data for other in rows}) > 1 else ""
    leaky = "" if row.protocol == "honest" else " [bold red]leaky[/]"
    return f"{escape(_short(row, rows))}{data}{leaky}"


def _plain(row: Row, rows: list[Row]) -> str:
    """The run's name without markup."""
    return Text.from_markup(_name(row, rows)).plain


def _short(row: Row, rows: list[Row]) -> str:
    """The folder's own name, or its path where two have the same name."""
    names = [Path(other.name).name for other in rows]
    short = Path(row.name).name
    return short if names.count(short) == 1 else row.name


def _cell(row: Row, ranking: str, name: str) -> str:
    if name not in row.mean[ranking]:
        return "-"
    spread = row.spread[ranking][name]
    shown = "" if math.isnan(spread) else f"\n±{spread:.3f}"
    return f"{row.mean[ranking][name]:.3f}{shown}"


def _differences(rows: list[Row]) -> Table:
    first = escape(_short(rows[0], rows))
    table = titled_table(
        f"{TESTED.upper()}, all items, against [bold]{first}[/] (paired bootstrap)"
    )
    table.add_column("run", overflow="fold")
    for heading in ("difference", "95 % interval", "p", "p (Holm)"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows[1:]:
        found = row.against_first
        if found is None:
            table.add_row(_name(row, rows), "-", row.not_compared, "-", "-")
        else:
            interval = f"{found.low:+.4f} to {found.high:+.4f}"
            chances = f"{found.p_value:.4f}", f"{row.p_holm:.4f}"
            table.add_row(_name(row, rows), f"{found.mean:+.4f}", interval, *chances)
    return table
