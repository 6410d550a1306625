"""Charts as SVG to be put into a page: its colours, which follow dark mode, and its font.

matplotlib draws; its colours are placeholders for variables of the page's style sheet.
"""

import io
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.core.errors import MissingExtra

INK, PALE, LINE = "#010101", "#020202", "#030303"
COLOURS = ("#040404", "#050505", "#060606", "#070707")
VARIABLES = {INK: "ink", PALE: "pale", LINE: "line"} | {
    colour: f"c{place}" for place, colour in enumerate(COLOURS, start=1)
}
WIDE = 5.2
"""Inches of 72 points: what a phone shows without making it smaller."""
MARKERS = ("o", "s", "^", "D")


@dataclass(frozen=True)
class Series:
    """Values of one thing.

    Attributes:
        name: in the legend.
        values: float ``[points]``.
        low, high: float ``[points]``, their intervals, or None.
        at: float ``[points]``, where they lie, or None for one beside the other.
    """

    name: str
    values: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    at: NDArray[np.float64] | None = None


def curves(
    title: str,
    x: str,
    series: Sequence[Series],
    mark: float | None = None,
    joined: bool = True,
    log: bool = False,
) -> str:
    """Lines over whole numbers, or points over any.

    Args:
        title: of the chart.
        x: what lies below.
        series: a line each.
        mark: a place that was chosen.
        joined: whether points are joined.
        log: whether orders of magnitude are alike.
    """
    figure, axes = _axes(2.5)
    if log:
        axes.set_xscale("log")
    else:
        axes.xaxis.get_major_locator().set_params(integer=joined)
    for place, each in enumerate(series):
        colour, marker = _style(place)
        few = len(each.values) <= 40
        line = {"color": colour, "lw": 1.8 if joined else 0, "label": each.name}
        axes.plot(each.at, each.values, marker=marker if few or not joined else "", ms=4, **line)
    if mark is not None:
        axes.axvline(mark, color=PALE, ls="--", lw=1)
    axes.set_xlabel(x)
    return _svg(figure, title, len(series) > 1)


def dots(title: str, names: Sequence[str], series: Sequence[Series]) -> str:
    """A row for each name, with a mark and an interval for each of the series."""
    figure, axes = _axes(0.75 + 0.3 * len(names) * max(1.0, 0.6 * len(series)))
    rows = np.arange(len(names), dtype=np.float64)
    for place, each in enumerate(series):
        own = rows + 0.24 * (place - (len(series) - 1) / 2)
        colour, marker = _style(place)
        if each.low is not None:
            axes.hlines(own, each.low, each.high, color=colour, lw=2)
        axes.plot(each.values, own, marker, color=colour, ms=6, label=each.name)
    axes.set_yticks(rows, [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.xaxis.get_major_locator().set_params(nbins=6)
    return _svg(figure, title, len(series) > 1)


def bars(title: str, names: Sequence[str], series: Sequence[Series]) -> str:
    """Bars side by side for each name, upright."""
    figure, axes = _axes(2.4)
    places, width = np.arange(len(names), dtype=np.float64), 0.8 / len(series)
    for place, each in enumerate(series):
        own = places + width * (place - (len(series) - 1) / 2)
        axes.bar(own, each.values, width * 0.9, color=COLOURS[place], label=each.name)
    axes.set_xticks(places, names)
    return _svg(figure, title, len(series) > 1)


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"


def _style(place: int) -> tuple[str, str]:
    """Told apart by colour and by shape."""
    return COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]


def _axes(height: float) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("a report", "plots") from None
    figure = Figure(figsize=(WIDE, height), layout="constrained")
    axes = figure.subplots()
    axes.tick_params(colors=INK, labelsize=9, length=3, color=LINE)
    for side, spine in axes.spines.items():
        spine.set_color(LINE)
        spine.set_visible(side in ("left", "bottom"))
    axes.grid(color=LINE, lw=0.5, alpha=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.label.set(color=PALE, size=9)
    return figure, axes


def _svg(figure: Any, title: str, legend: bool) -> str:
    from matplotlib import rc_context

    if legend:
        box = {"loc": "outside lower center", "ncols": 2, "frameon": False}
        figure.legend(fontsize=9, labelcolor=INK, **box)
    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(file.getvalue(), title)


def _for_page(text: str, title: str) -> str:
    """Without what only a file needs; ids are this chart's own, so that a page can have several."""
    inside = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    inside = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", inside, count=1)
    inside = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", inside, count=1)
    own = f"c{zlib.crc32(inside.encode()):08x}"
    inside = re.sub(r'\bid="', f'id="{own}-', inside)
    inside = re.sub(r"url\(#", f"url(#{own}-", inside)
    inside = re.sub(r'xlink:href="#', f'href="#{own}-', inside)
    inside = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", inside)
    for colour, name in VARIABLES.items():
        inside = inside.replace(colour, f"var(--{name})")
    said = escape(title, quote=True)
    named = f'<svg role="img" aria-label="{said}"'
    figure = inside.replace("<svg", named, 1).strip()
    return f"<figure><figcaption>{escape(title)}</figcaption>{figure}</figure>"
