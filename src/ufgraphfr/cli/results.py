"""The results table of one run: the model beside the yardsticks, honest or marked as leaky."""

import json
from pathlib import Path
from typing import Any

from rich.table import Table

COLUMNS = (
    ("full", "hr@10", "HR@10"),
    ("full", "ndcg@10", "NDCG@10"),
    ("full", "mrr", "MRR"),
    ("full", "coverage@10", "coverage"),
    ("sampled99", "hr@10", "HR@10 of 100"),
    ("sampled99", "ndcg@10", "NDCG@10 of 100"),
)


def results_table(path: Path) -> Table:
    """A table of a ``result.json``."""
    result = json.loads(path.read_text(encoding="utf-8"))
    data = result["data"]
    leaky = " · LEAKY PROTOCOL" if result["protocol"] != "honest" else ""
    table = Table(
        title=f"{data['name']}: {data['users']:,} users, {data['items']:,} items, "
        f"{data['interactions']:,} interactions · test, full ranking{leaky}",
        caption=_caption(result),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("model")
    for _, _, title in COLUMNS:
        table.add_column(title, justify="right")
    for kind, yardstick in result["yardsticks"].items():
        table.add_row(f"{kind} (yardstick)", *_cells(yardstick["test"]))
    table.add_row(f"[bold]{result['algorithm']}[/]", *_cells(result["test"]))
    return table


def _cells(metrics: dict[str, dict[str, float]]) -> list[str]:
    return [f"{metrics[ranking][name]:.3f}" for ranking, name, _ in COLUMNS]


def _caption(result: dict[str, Any]) -> str:
    best = (
        f"round {result['best_round']} of {result['rounds']}, picked on validation; "
        f"{result['cpu_seconds_per_round']:.1f} CPU s a round; "
        f"{result['bytes_up_per_client_round'] / 1e3:.0f} kB up a client and round; "
        if result["rounds"]
        else ""
    )
    return f"{best}seed {result['seed']}; {result['guarantee']}"
