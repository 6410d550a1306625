"""``data``: which data sets there are, what one holds, and fetching one."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from ufgraphfr.cli.facts import gigabytes, show
from ufgraphfr.cli.group import group
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import cache_folder
from ufgraphfr.data.description import facts_of
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.data.sources.base import Source
from ufgraphfr.experiment.estimate import LARGE, estimate
from ufgraphfr.experiment.reading import override, read
from ufgraphfr.experiment.starting import own_tables

app = group(help="The data sets: list, describe, fetch.", no_args_is_help=True)

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
    name: Annotated[str, typer.Argument(help="An experiment's TOML, a table's file, or a kind.")],
    data_dir: Folder = None,
    settings: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """What data hold: counts, spread, time, joins, what is left out, and what to beware of."""
    source, guesses = _described(name, data_dir, settings)
    facts = summary(source, data_dir, guesses)
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    show(Console(highlight=False), facts)


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


def summary(
    source: Source, data_dir: Path | None = None, guesses: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What `describe` shows, as plain values under keys that stay."""
    # the notes are among the facts
    with _unlogged("ufgraphfr.data.assemble"):
        data = source.load(data_dir)
    rows = data.interactions
    facts = facts_of(data)
    expected = estimate(rows.n_users, rows.n_items, len(rows))
    if expected.graph == "dense" and expected.graph_bytes > LARGE:
        facts["warnings"].append(
            f"the item graph needs about {gigabytes(expected.graph_bytes)}: a sparse one needs "
            f"less, set algorithm.graph.dense_items below {rows.n_items}"
        )
    return {
        "card": asdict(data.card),
        **facts,
        "ratings": data.ratings,
        "guesses": list(guesses),
        "estimate": expected.facts(),
        "features": ", ".join(data.catalogue.features),
        "sentence": data.users.texts[0],
        "title": data.catalogue.titles[0],
        "sha256": data.sha256,
        "digest": data.digest,
    }


@contextmanager
def _unlogged(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False


def _described(
    name: str, data_dir: Path | None, settings: list[str] | None
) -> tuple[Source, tuple[str, ...]]:
    """The data of an experiment, a table or a kind, and what was guessed of its columns."""
    path = Path(name)
    if path.suffix == ".toml":
        changes = tuple(f"data.{text}" for text in settings or [])
        return read(path, changes).located_source(data_dir), ()
    if path.is_file():
        tables = own_tables(path, said_of(settings))
        told = (each.told() for each in tables.guesses.values())
        return tables.source, tuple(told)
    return _source(name, settings), ()


def _source(name: str, settings: list[str] | None) -> Source:
    return SOURCES.build(name, said_of(settings), "[data]")


def said_of(settings: list[str] | None) -> dict[str, Any]:
    """The keys of ``[data]`` that ``--set`` gives.

    Raises:
        InputError: one cannot be read.
    """
    said = dict[str, Any]()
    override(said, settings or [])
    return said
