"""A comparison as a LaTeX table, for papers; it needs the package booktabs."""

import math
from collections.abc import Sequence

from ufgraphfr.cli.results import Columns
from ufgraphfr.experiment.compare import Row

_SPECIAL = str.maketrans({letter: f"\\{letter}" for letter in "&%$#_{}"})


def latex_table(rows: Sequence[Row], shown: Columns, names: Sequence[str], test: bool) -> str:
    """Means over seeds with standard deviations, and of a test the differences to the first row.

    Args:
        rows: the runs.
        shown: ranking, metric and heading of each figure.
        names: what each row is called.
        test: whether the figures are of the test.
    """
    headings = ["run", "seeds", *(" ".join(text.split()) for _, _, text in shown)]
    tested = test and len(rows) > 1
    if tested:
        headings += ["difference", "95 % interval", "p (Holm)"]
    lines = [_line([_escaped(text) for text in headings]), r"\midrule"]
    for row, name in zip(rows, names, strict=True):
        cells = [_cell(row, ranking, metric) for ranking, metric, _ in shown]
        cells += _difference(row) if tested else []
        lines.append(_line([_escaped(name), str(len(row.seeds)), *cells]))
    layout = "l" + "r" * (len(headings) - 1)
    head = [rf"\begin{{tabular}}{{{layout}}}", r"\toprule"]
    return "\n".join([*head, *lines, r"\bottomrule", r"\end{tabular}"])


def _cell(row: Row, ranking: str, metric: str) -> str:
    if metric not in row.mean[ranking]:
        return "--"
    mean, spread = row.mean[ranking][metric], row.spread[ranking][metric]
    return f"${mean:.3f}$" if math.isnan(spread) else rf"${mean:.3f} \pm {spread:.3f}$"


def _difference(row: Row) -> list[str]:
    found = row.against_first
    if found is None:
        return ["--"] * 3
    interval = f"$[{found.low:+.4f}, {found.high:+.4f}]$"
    return [f"${found.mean:+.4f}$", interval, f"${row.p_holm:.4f}$"]


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _escaped(text: str) -> str:
    return text.translate(_SPECIAL)
