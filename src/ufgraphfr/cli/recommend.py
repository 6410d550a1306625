"""``ufgraphfr recommend``: one user's history and best items, from a finished run."""

import json
import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ufgraphfr.serve.recommender import Recommendation, Recommender

SHOWN_HISTORY = 10


def recommend(
    folder: Annotated[Path, typer.Argument(help="A finished run folder.")],
    user: Annotated[str, typer.Option(help="The user's id in the data set.")],
    count: Annotated[int, typer.Option("-n", help="How many items.")] = 10,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data set's files.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show a user's recent history and the items to recommend next, with scores."""
    # what was left out of the data was told when the run was trained
    logging.getLogger("ufgraphfr").setLevel(logging.WARNING)
    recommender = Recommender.open(folder, data_dir)
    history = recommender.history(user)
    items = recommender.recommend(user, count)
    trained, unknown = recommender.trained(user), recommender.unknown(user)
    if as_json:
        listed = [{"item": x.item, "title": x.title, "score": x.score} for x in items]
        found = {
            "user": user,
            "trained": trained,
            "history": history,
            "unknown": unknown,
            "recommended": listed,
        }
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    console = Console(highlight=False)
    for note in _notes(trained, unknown):
        console.print(note)
    recent = history[-SHOWN_HISTORY:][::-1]
    console.print(f"[bold]user {escape(user)}[/]: {len(history)} items; the latest {len(recent)}:")
    for title in recent:
        console.print(f"  {title}", markup=False)
    console.print()
    console.print(_table(items))


def _table(items: list[Recommendation]) -> Table:
    table = Table(
        title="[bold]recommended next[/]",
        title_justify="left",
        title_style="",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("#", justify="right")
    table.add_column("item", overflow="fold")
    table.add_column("score", justify="right")
    for place, item in enumerate(items, start=1):
        table.add_row(str(place), escape(item.title), f"{item.score:.3f}")
    return table


def _notes(trained: bool, unknown: list[str]) -> list[str]:
    """What to know of a user whom the model was not trained with."""
    notes = [] if trained else ["not among those who trained: served from items and profile alone"]
    if unknown:
        notes.append(f"items that nobody who trained has, which say nothing: {len(unknown)}")
    return notes
