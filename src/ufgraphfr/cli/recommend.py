"""``ufgraphfr recommend``: one user's history and best items, from a finished run."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ufgraphfr.serve.recommender import Recommender

SHOWN_HISTORY = 10


def recommend(
    folder: Annotated[Path, typer.Argument(help="A finished run folder.")],
    user: Annotated[str, typer.Option(help="The user's id in the data set.")],
    count: Annotated[int, typer.Option("-n", help="How many items.")] = 10,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data set's files.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a user's recent history and top items."""
    recommender = Recommender.open(folder, data_dir)
    history = recommender.history(user)
    items = recommender.recommend(user, count)
    if as_json:
        listed = [{"item": x.item, "title": x.title, "score": x.score} for x in items]
        print(json.dumps({"user": user, "history": history, "recommended": listed}))
        return
    console = Console()
    recent = history[-SHOWN_HISTORY:][::-1]
    console.print(f"[bold]user {user}[/]: {len(history)} items, the last {len(recent)}:")
    for title in recent:
        console.print(f"  {title}", markup=False, highlight=False)
    table = Table(title="recommended next", title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("item")
    table.add_column("score", justify="right")
    for place, item in enumerate(items, start=1):
        table.add_row(str(place), item.title, f"{item.score:.3f}")
    console.print(table)
