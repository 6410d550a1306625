"""``ufgraphfr compare``: runs side by side, with the paired significance of their differences."""

import math
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ufgraphfr.cli.results import COLUMNS
from ufgraphfr.evaluation.significance import Difference
from ufgraphfr.experiment.compare import TESTED, Row
from ufgraphfr.experiment.compare import compare as compare_runs


def compare(
    folders: Annotated[list[Path], typer.Argument(help="Finished run folders.")],
) -> None:
    """Compare runs; runs that differ in their seed alone become one row."""
    rows = compare_runs(folders)
    table = Table(
        caption=f"{TESTED.upper()} against the first row: difference, 95 % interval, p; bootstrap "
        f"paired over users and seeds. A claim needs five seeds.",
        caption_justify="left",
    )
    table.add_column("run")
    table.add_column("seeds", justify="right")
    for _, _, title in COLUMNS:
        table.add_column(title, justify="right")
    table.add_column("against the first", justify="right")
    for row in rows:
        leaky = " [red](leaky)[/]" if row.protocol != "honest" else ""
        cells = [_cell(row, ranking, name) for ranking, name, _ in COLUMNS]
        table.add_row(f"{row.name}{leaky}", str(len(row.seeds)), *cells, _against(row))
    Console().print(table)


def _cell(row: Row, ranking: str, name: str) -> str:
    spread = row.spread[ranking][name]
    shown = "" if math.isnan(spread) else f" ±{spread:.3f}"
    return f"{row.mean[ranking][name]:.3f}{shown}"


def _against(row: Row) -> str:
    found: Difference | None = row.against_first
    if found is None:
        return "-"
    return f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}] p={found.p_value:.4f}"
