"""``ufgraphfr describe``: every key of a kind or table, with type, default, range and meaning."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ufgraphfr.cli.kinds import every, named
from ufgraphfr.core.describe import KeyFacts, keys_of, summary_of


def describe(
    kind: Annotated[
        str | None,
        typer.Argument(help="As in a TOML file, or one of protocol, federation, evaluation."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Describe every key of a kind or table; without an argument, list all kinds."""
    found = list(every()) if kind is None else named(kind)
    if as_json:
        facts = [_facts(*each, with_keys=kind is not None) for each in found]
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    if kind is None:
        console.print(_list(found))
        console.print("the keys of one: ufgraphfr describe KIND", markup=False)
        return
    for table, name, spec in found:
        console.print(f"[bold]{escape(name)}[/], {escape(table)}: {escape(summary_of(spec))}")
        console.print(_keys(list(keys_of(spec))))


def _facts(table: str, kind: str, spec: Any, with_keys: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": kind, "table": table, "summary": summary_of(spec)}
    return facts | ({"keys": [asdict(key) for key in keys_of(spec)]} if with_keys else {})


def _list(found: list[tuple[str, str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("kind", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    before = ""
    for place, kind, spec in found:
        if place != before:
            table.add_section()
            table.add_row(f"[bold]{escape(place)}[/]", "")
            before = place
        table.add_row(escape(kind), escape(summary_of(spec)))
    return table


def _keys(keys: list[KeyFacts]) -> Table | str:
    if not keys:
        return "it has no keys\n"
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_lines=False)
    table.add_column("key = default", overflow="fold")
    table.add_column("values", overflow="fold")
    table.add_column("meaning", overflow="fold")
    for key in keys:
        values = f"{key.type} {key.range}".strip()
        olds = f" (was: {', '.join(key.renamed)})" if key.renamed else ""
        table.add_row(
            f"[bold]{escape(key.name)}[/] = {escape(key.default)}",
            escape(values),
            escape(key.meaning + olds),
        )
    return table
