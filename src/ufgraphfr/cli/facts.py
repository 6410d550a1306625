"""How ``data describe`` looks: the facts of a data set in a few small tables."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ufgraphfr.data.description import QUANTILES

RATINGS = 10
"""More different ratings are not all shown."""


def show(console: Console, facts: dict[str, Any]) -> None:
    """Print what `summary` says."""
    card = facts["card"]
    console.print(f"[bold]{escape(card['title'])}[/]")
    for line in facts["guesses"]:
        console.print(f"  {line}", markup=False)
    console.print(_spreads(facts))
    console.print(_rest(facts))
    console.print("[bold]settings[/] of a flagship run that sets nothing")
    for line in facts["estimate"]["derived"]:
        console.print(f"  {line}", markup=False)
    console.print("[bold]sentences[/] of the first users")
    for sentence in dict.fromkeys(facts["sentences"]):
        console.print(f"  {sentence}", markup=False)
    for note in facts["notes"]:
        console.print(f"note: {note}", markup=False)
    for warning in facts["warnings"]:
        console.print(f"[bold yellow]warning:[/] {escape(warning)}")


def gigabytes(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{max(count / 1e6, 1):.0f} MB"


def _spreads(facts: dict[str, Any]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("interactions")
    for heading in ("mean", *QUANTILES):
        table.add_column(heading, justify="right")
    for key, noun in (("per_user", "of a user"), ("per_item", "of an item")):
        table.add_row(noun, *(f"{value:,g}" for value in facts[key].values()))
    return table


def _rest(facts: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for key, value in _lines(facts).items():
        if value:
            table.add_row(key, escape(value))
    return table


def _lines(facts: dict[str, Any]) -> dict[str, str]:
    card, found, joins = facts["card"], facts["found"], facts["joins"]
    lines = {key: card[key] for key in ("url", "licence", "citation")}
    for key, count in found.items():
        expected = card[key]
        note = "" if expected in (None, count) else f"  (the card says {expected:,})"
        lines[key] = f"{count:,}{note}"
    columns = facts["feature_columns"].items()
    return lines | {
        "rows read": f"{facts['rows_read']:,}" if facts["rows_read"] else "",
        "left out": facts["left out"],
        "time": _time(facts),
        "ratings": _ratings(facts["ratings"]),
        "user text": f"{joins['users_with_profile']:,} of {found['users']:,} users have a profile; "
        f"{facts['distinct_sentences']:,} different sentence(s)",
        "titles": f"of {joins['items_with_title']:,} of {found['items']:,} items; the first is "
        f"{facts['title']}",
        "features": ", ".join(f"{name} ({count:,} items)" for name, count in columns)
        or "none: items are known by their interactions alone",
        "a flagship run": _estimate(facts["estimate"]),
        "sha256": facts["sha256"],
        "digest": facts["digest"],
    }


def _time(facts: dict[str, Any]) -> str:
    time, found = facts["time"], facts["found"]
    if time is None:
        return "none"
    first, last = (time[f"{end}_date"] or f"{time[end]:,}" for end in ("first", "last"))
    span = f"{first} to {last}"
    if not time["tied_rows"]:
        return f"{span}; no ties"
    share = time["tied_rows"] / found["interactions"]
    return (
        f"{span}; {time['tied_rows']:,} rows ({share:.0%}) tie with another of the same user, and "
        f"a tie decides the last two items of {time['tied_users']:,} users"
    )


def _ratings(ratings: dict[str, int] | None) -> str:
    if not ratings:
        return ""
    shown = ", ".join(f"{value}: {count:,}" for value, count in list(ratings.items())[:RATINGS])
    more = len(ratings) - RATINGS
    return f"{shown}, and {more:,} more" if more > 0 else shown


def _estimate(told: dict[str, Any]) -> str:
    seconds = told["cpu_seconds"]
    time = f"{seconds / 60:,.0f} CPU minutes" if seconds >= 90 else f"{max(seconds, 1)} CPU s"
    return (
        f"an estimate: {gigabytes(told['memory_bytes'])} beside Python's own, "
        f"{gigabytes(told['graph_bytes'])} of it a {told['graph']} item graph; {time} "
        f"for {told['rounds']} rounds of {told['cohort']} clients"
    )
