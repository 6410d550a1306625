"""Plots of an audit, PNG; they need the optional extra ``plots``."""

import math
import textwrap
from pathlib import Path

from ufgraphfr.audit.report import Audit, Line
from ufgraphfr.core.errors import MissingExtra

INK, PALE, RED = "#1f4e79", "#c9d7e6", "#b03030"
LINE = 120
"""Characters of a title that fit into a line, at 8 points over 8 inches."""


def draw(audit: Audit, folder: Path) -> list[Path]:
    """Write ``audit.png``, and ``audit-canaries.png`` if canaries ran.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("drawing an audit", "plots") from None
    written = []
    bars = [line for line in audit.lines if line.finding.chance is not None]
    if bars:
        figure = Figure(figsize=(8, 0.8 + 0.34 * len(bars)), layout="constrained")
        axes = figure.subplots()
        places = range(len(bars))[::-1]
        for place, line in zip(places, bars, strict=True):
            _bar(axes, place, line)
        labels = [f"{x.attack} ({x.finding.view}): {x.finding.measure}" for x in bars]
        axes.set_yticks(list(places), labels, fontsize=7)
        axes.set_xlim(0, 1.02)
        # of the figure, not of the axes, whose width long names of figures take away
        figure.suptitle(textwrap.fill(f"{audit.name}: {audit.statement}", LINE), fontsize=8)
        marks = "found (bar), chance (grey line), ceiling of the guarantee (red line)"
        figure.supxlabel(marks, fontsize=8)
        written.append(folder / "audit.png")
        figure.savefig(written[-1], dpi=120)
    for line in audit.lines:
        if line.finding.points is None:
            continue
        figure = Figure(figsize=(6, 3), layout="constrained")
        axes = figure.subplots()
        for (name, values), colour in zip(line.finding.points.items(), (INK, PALE), strict=False):
            axes.hist(values, bins=40, alpha=0.7, label=name, color=colour)
        axes.set_title(f"{line.finding.measure} {line.finding.value:.3f}", fontsize=8)
        axes.set_xlabel("how much of a client is in what was released")
        axes.legend(fontsize=7)
        written.append(folder / f"audit-{line.attack}.png")
        figure.savefig(written[-1], dpi=120)
    return written


def _bar(axes: object, place: int, line: Line) -> None:
    finding = line.finding
    bad = line.verdict in ("FAIL", "recovered")
    value = 0.0 if math.isnan(finding.value) else finding.value
    axes.barh(place, value, color=RED if bad else INK, height=0.6)  # type: ignore[attr-defined]
    for where, colour in ((finding.chance, "#888888"), (line.ceiling, RED)):
        if where is not None:
            axes.plot([where] * 2, [place - 0.4, place + 0.4], color=colour)  # type: ignore[attr-defined]
