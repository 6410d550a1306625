"""``data``: which data sets there are, what one holds, and fetching one."""

import json
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import cache_folder
from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.data.sources.base import Source

app = typer.Typer(help="The data sets: list, describe, fetch.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A data set, as in 'list'.")]
Folder = Annotated[Path | None, typer.Option("--data-dir", help="The folder with the files.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A key of [data].")
]


@app.command("list")
def list_sources() -> None:
    """The data sets this package reads."""
    table = Table(
        Column("kind", min_width=max(map(len, SOURCES.kinds))),
        "data set",
        *(Column(count, justify="right") for count in ("users", "items", "interactions")),
        box=SIMPLE,
    )
    for kind in SOURCES.kinds:
        card = SOURCES.find(kind).card
        counts = (card.users, card.items, card.interactions)
        shown = ("" if count is None else f"{count:,}" for count in counts)
        table.add_row(kind, card.title, *shown)
    Console().print(table)


@app.command()
def describe(
    name: Name,
    data_dir: Folder = None,
    settings: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """What a data set holds: its card, counts, what was left out, a sentence and a title."""
    facts = summary(_source(name, settings).load(data_dir))
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    card = facts["card"]
    table = Table("", Column(overflow="fold"), title=card["title"], show_header=False)
    for key in ("url", "licence", "citation"):
        if card[key]:
            table.add_row(key, card[key])
    for key, found in facts["found"].items():
        expected = card[key]
        note = "" if expected in (None, found) else f"  (the card says {expected:,})"
        table.add_row(key, f"{found:,}{note}")
    for key in ("left out", "features", "sentence", "title", "sha256", "digest"):
        table.add_row(key, facts[key])
    Console().print(table)


@app.command()
def fetch(name: Name) -> None:
    """Fetch a data set into the cache, unless it is there."""
    source = _source(name, None)
    if not source.card.url:
        raise InputError(f"there is nothing to fetch for '{name}': it has no address")
    data = source.load()
    rows = data.interactions
    typer.echo(
        f"{data.card.title}: {rows.n_users:,} users, {rows.n_items:,} items, "
        f"{len(rows):,} interactions in {cache_folder('datasets', data.card.name)}"
    )


def summary(data: Dataset) -> dict[str, Any]:
    """What `describe` shows, as plain values."""
    return {
        "card": asdict(data.card),
        "found": {
            "users": data.interactions.n_users,
            "items": data.interactions.n_items,
            "interactions": len(data.interactions),
        },
        "cleaning": asdict(data.cleaning),
        "left out": str(data.cleaning),
        "features": ", ".join(data.catalogue.features),
        "sentence": data.users.texts[0],
        "title": data.catalogue.titles[0],
        "sha256": data.sha256,
        "digest": data.digest,
    }


def _source(name: str, settings: list[str] | None) -> Source:
    values = dict(_setting(text) for text in settings or [])
    return SOURCES.build(name, values, "[data]")


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set {text}: write it as KEY=VALUE")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value
