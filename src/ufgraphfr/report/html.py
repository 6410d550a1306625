"""Pieces of a page: tables, lists, sections; every text is escaped here."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

Cell = str | float | int | None


def number(value: Cell, digits: int = 3) -> str:
    """A figure for people; a dash for what is not known."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return f"{value:,}" if isinstance(value, int) else value


def size(count: float | None) -> str:
    """Bytes for people."""
    if count is None:
        return "–"
    for unit, most in (("B", 1e3), ("kB", 1e6), ("MB", 1e9)):
        if count < most:
            return f"{count / (most / 1e3):.3g} {unit}"
    return f"{count / 1e9:.3g} GB"


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    strong: int | None = None,
    kind: str = "",
) -> str:
    """A table whose first column names the rows.

    Args:
        caption: its title, above what can be moved.
        head: titles of the columns.
        rows: their cells.
        strong: the place of a row that stands out.
        kind: ``text`` if the last column holds sentences.
    """
    top = "".join(f'<th scope="col">{escape(each)}</th>' for each in head)
    body = []
    for place, (first, *rest) in enumerate(rows):
        cells = "".join(f"<td>{escape(number(each))}</td>" for each in rest)
        mark = ' class="strong"' if place == strong else ""
        body.append(f'<tr{mark}><th scope="row">{escape(number(first))}</th>{cells}</tr>')
    said = escape(caption, quote=True)
    # a table that is too wide for a phone can be moved, with the keyboard too
    return (
        f"<h3>{said}</h3>"
        f'<div class="wide" tabindex="0" role="region" aria-label="{said}">'
        f'<table class="{kind}"><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def facts(values: Mapping[str, Any]) -> str:
    """Names and values."""
    pairs = (f"<dt>{escape(k)}</dt><dd>{escape(number(v))}</dd>" for k, v in values.items())
    return f"<dl>{''.join(pairs)}</dl>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph, of a class of the style sheet."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def lines(texts: Iterable[str]) -> str:
    """A list."""
    return "<ul>" + "".join(f"<li>{escape(each)}</li>" for each in texts) + "</ul>"


def both(*parts: str) -> str:
    """Side by side where there is room."""
    return f'<div class="both">{"".join(f"<div>{part}</div>" for part in parts if part)}</div>'


def folded(title: str, inside: str) -> str:
    """To be opened by who wants to know."""
    return f"<details><summary>{escape(title)}</summary>{inside}</details>"


def code(text: str) -> str:
    """As it stands in a file."""
    return f'<pre tabindex="0">{escape(text)}</pre>'
