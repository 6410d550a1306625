"""``ufgraphfr compare``: runs side by side, with the paired significance of their differences."""

import math
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ufgraphfr.cli.results import columns, metrics_table
from ufgraphfr.experiment.compare import TESTED, Row
from ufgraphfr.experiment.compare import compare as compare_runs

CLAIM_SEEDS = 5


def compare(
    folders: Annotated[list[Path], typer.Argument(help="Finished run folders.")],
    at_most: Annotated[
        int | None,
        typer.Option(min=1, help="Only users of whom the test knows at most so many items."),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Show this metric, as in recall@20; repeatable."),
    ] = None,
) -> None:
    """Compare finished runs; runs that differ in their seed alone become one row."""
    rows = compare_runs(folders, at_most, metrics or ())
    console = Console(highlight=False)
    console.print(_metrics(rows, at_most))
    if len(rows) > 1:
        console.print(_differences(rows))
        if min(len(row.seeds) for row in rows) < CLAIM_SEEDS:
            console.print(f"a claim needs at least {CLAIM_SEEDS} seeds of each run")


def _metrics(rows: list[Row], at_most: int | None) -> Table:
    shown = columns(dict.fromkeys(name for row in rows for name in row.metrics))
    if any(row.mean["new items"] for row in rows):
        shown = (*shown, ("new items", "ndcg@10", "new items\nNDCG@10"))
    who = "" if at_most is None else f" of users with at most {at_most} known items"
    title = f"[bold]test[/]{who}: mean over seeds, ± standard deviation"
    table = metrics_table(title, "run (seeds)", shown)
    for row in rows:
        cells = [_cell(row, ranking, name) for ranking, name, _ in shown]
        table.add_row(f"{_name(row, rows)} ({len(row.seeds)})", *cells)
    return table


def _name(row: Row, rows: list[Row]) -> str:
    """The run's name, with its data set if there are several, and marked if it is leaky."""
    data = f" on {escape(row.data)}" if len({other.data for other in rows}) > 1 else ""
    leaky = "" if row.protocol == "honest" else " [bold red]leaky[/]"
    return f"{escape(_short(row, rows))}{data}{leaky}"


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
    table = Table(
        title=f"{TESTED.upper()}, all items, against [bold]{first}[/] (paired bootstrap)",
        title_justify="left",
        title_style="",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("run", overflow="fold")
    for heading in ("difference", "95 % interval", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows[1:]:
        found = row.against_first
        if found is None:
            table.add_row(_name(row, rows), "-", row.not_compared, "-")
        else:
            interval = f"{found.low:+.4f} to {found.high:+.4f}"
            table.add_row(_name(row, rows), f"{found.mean:+.4f}", interval, f"{found.p_value:.4f}")
    return table
