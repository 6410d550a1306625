"""The results table of one run: the model below the baselines, honest or marked as leaky."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ufgraphfr.cli.tables import titled_table
from ufgraphfr.evaluation.metrics import SHOWN, is_ranked
from ufgraphfr.experiment.blend import blend_rows
from ufgraphfr.experiment.finished import Run, read_result
from ufgraphfr.experiment.result import about_baselines

Columns = tuple[tuple[str, str, str], ...]
SHORT = {"coverage@10": "cover"}
SAMPLED = 2
"""So many metrics of ranks are shown of the second ranking."""


def columns(names: Iterable[str]) -> Columns:
    """Ranking, metric and heading: two rows of headings fit a terminal of 80 columns."""
    shown = list(names)
    both = {
        "full": ("all items", shown),
        "sampled99": ("1 of 100", [name for name in shown if is_ranked(name)][:SAMPLED]),
    }
    return tuple(
        (ranking, name, f"{'' if place else title}\n{heading(name)}")
        for ranking, (title, own) in both.items()
        for place, name in enumerate(own)
    )


def heading(name: str) -> str:
    """What a column of a metric is called; without the module of one of your own."""
    return SHORT.get(name, name.rpartition(".")[2].upper())


COLUMNS: Columns = columns(SHOWN)
"""Without any wish."""


KEPT_OUT = {
    "users that never trained: NDCG@10 of their next ten items": "cold",
    "users that never trained: NDCG@10 of all their later items": "cold_all",
    "items that never trained, among themselves": "new_items",
}
"""Titles and parts of a result."""


def metrics_table(title: str, first: str, columns: Columns = COLUMNS) -> Table:
    """An empty table with a column for each of these after the first."""
    table = titled_table(title, collapse_padding=True)
    table.add_column(f"\n{first}", overflow="fold")
    for _, _, heading in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def show_result(console: Console, path: Path) -> None:
    """Print a ``result.json``."""
    result = read_result(path)
    if result["test"] is None:
        console.print("no metrics: none leave the devices, or they are in the folder personal/")
    else:
        console.print(_test_table(result))
    for title, part in KEPT_OUT.items():
        if result.get(part) is not None:
            console.print(_kept_out_table(result, title, part))
    if result.get("blend") is not None:
        console.print(_blend_table(result["blend"]))
    for line in _facts(result, Run(path.parent).guarantee):
        console.print(line, highlight=False, markup=False)


def _test_table(result: dict[str, Any]) -> Table:
    data = result["data"]
    leaky = "" if result["protocol"] == "honest" else " · [bold red]LEAKY PROTOCOL[/]"
    shown = columns(result.get("metrics", SHOWN))
    table = metrics_table(
        f"[bold]{escape(data['name'])}[/]: {data['users']:,} users, {data['items']:,} items, "
        f"{data['interactions']:,} interactions · test{leaky}",
        "model",
        shown,
    )
    for kind, baseline in _computed(result).items():
        table.add_row(kind, *_cells(baseline["test"], shown), style="dim")
    table.add_section()
    table.add_row(escape(result["algorithm"]), *_cells(result["test"], shown), style="bold")
    return table


def _computed(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The baselines that have figures."""
    return {
        kind: own for kind, own in (result["baselines"] or {}).items() if "not_computed" not in own
    }


def _cells(metrics: dict[str, dict[str, float]], shown: Columns) -> list[str]:
    """What could not be asked is a dash, as in a comparison."""
    values = [metrics[ranking].get(name) for ranking, name, _ in shown]
    return ["-" if value is None else f"{value:.3f}" for value in values]


def _kept_out_table(result: dict[str, Any], title: str, part: str) -> Table:
    """Metrics of what was kept out of training, e.g. of users by how many items are known."""
    table = titled_table(title)
    table.add_column("model", overflow="fold")
    for name in result[part]:
        table.add_column(name.replace("ndcg@10 ", ""), justify="right")
    rows = {kind: baseline[part] for kind, baseline in _computed(result).items()}
    for kind, found in rows.items():
        table.add_row(kind, *(f"{value:.3f}" for value in found.values()), style="dim")
    own = (f"{value:.3f}" for value in result[part].values())
    table.add_row(escape(result["algorithm"]), *own, style="bold")
    return table


def _blend_table(blend: dict[str, Any]) -> Table:
    """Each part's coefficient, and how much of the order it decides; parts without are left out."""
    head, rows = blend_rows(blend)
    bending = {"long history": "length of the history", "visit": "time away"}
    by = " and ".join(f"by the {what}" for name, what in bending.items() if name in head)
    table = titled_table(f"coefficients {by}".rstrip() + f": {escape(blend['chosen'])}")
    table.add_column(
        head[0], overflow="fold", min_width=max((len(row[0]) for row in rows), default=1)
    )
    for name in head[1:]:
        table.add_column(name, justify="right")
    for part, *numbers in rows:
        table.add_row(escape(part), *numbers)
    return table


def _facts(result: dict[str, Any], guarantee: str) -> list[str]:
    """What the table leaves out."""
    facts = [f"seed {result['seed']}; {guarantee}"]
    if result["privacy"] is not None and result["test"] is not None:
        facts.append("counts and metrics are not covered by it: they are for you, not to be shared")
    if errors := (result.get("standard_errors") or {}).get("full"):
        facts.append(
            f"standard error over users, all items: HR@10 {errors['hr@10']:.4f}, "
            f"NDCG@10 {errors['ndcg@10']:.4f}"
        )
    facts += about_baselines(result)
    if result["rounds"] and result["cpu_seconds_per_round"] is not None:
        once = result["bytes_down_once_per_client"]
        facts.append(
            f"round {result['best_round']} of {result['rounds']}, "
            f"{'picked on validation' if result['privacy'] is None else 'the last'}; "
            f"{result['cpu_seconds_per_round']:.2g} CPU s a round; "
            f"{_size(result['bytes_down_per_client_round'])} down, "
            f"{_size(result['bytes_up_per_client_round'])} up a client and round"
            + (f", and {_size(once)} down once" if once else "")
        )
    return facts


def _size(size: float) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
