"""Results: a run beside its baselines with intervals, its curves, and runs beside each other."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ufgraphfr.evaluation.metrics import SHOWN, per_user, values
from ufgraphfr.evaluation.significance import Difference, difference
from ufgraphfr.experiment.compare import TESTED, VALIDATION, Row
from ufgraphfr.experiment.result import about_baselines
from ufgraphfr.report.charts import Series, curves, dots
from ufgraphfr.report.gather import RunFacts
from ufgraphfr.report.html import Cell, both, folded, lines, number, paragraph, table

WIDTH = 1.96
"""Standard errors from a mean to the ends of its 95 % interval."""
DRAWS = 2_000
"""Of a bootstrap: the ends of an interval are known to a digit more than is shown."""


def computed(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The baselines that have figures."""
    baselines = result["baselines"] or {}
    return {kind: own for kind, own in baselines.items() if "not_computed" not in own}


def best_baseline(result: dict[str, Any], part: str = "test") -> str | None:
    """The strongest by `TESTED`, or None without any."""
    there = {
        kind: own[part]["full"][TESTED]
        for kind, own in computed(result).items()
        if own[part] and TESTED in own[part]["full"]
    }
    return max(there, key=there.__getitem__) if there else None


def results(run: RunFacts) -> str:
    """The table, the picture of it and how sure the differences are."""
    result = run.result
    if result is None:
        return paragraph(f"Not finished: {len(run.metrics)} rounds are done, and no result yet.")
    part = "test" if run.test else VALIDATION
    if result[part] is None:
        return paragraph("No metrics: none leave the devices, or they may not be shared.")
    shown = [name for name in result.get("metrics") or SHOWN if name in result[part]["full"]]
    models = {**computed(result), result["algorithm"]: result}
    head = ["model", *(name.upper() for name in shown)]
    sampled = [name for name in ("hr@10", "ndcg@10") if name in result[part]["sampled99"]]
    head += [f"{name.upper()}, 1 of 100" for name in sampled]
    rows = [
        [kind]
        + [(own[part] or {}).get("full", {}).get(name) for name in shown]
        + [(own[part] or {}).get("sampled99", {}).get(name) for name in sampled]
        for kind, own in models.items()
    ]
    said = [f"{part.capitalize()}; means over users, ranked among all items unless said."]
    if not run.test:
        said.append("Settings are chosen by validation; the test is shown with --test.")
    said += about_baselines(result)
    return (
        table(part.capitalize(), head, rows, strong=len(rows) - 1)
        + both(_picture(run), _differences(run))
        + lines(said)
    )


def _picture(run: RunFacts) -> str:
    """Every model with its 95 % interval over users, from the ranks that the run kept."""
    columns, result = run.ranks, run.result
    if not columns or result is None:
        return ""
    models = {kind: f"{kind}.full" for kind in computed(result)} | {result["algorithm"]: "full"}
    each = [per_user(values(TESTED, columns[own]), columns["user"]) for own in models.values()]
    mean = np.array([own.mean() for own in each])
    wide = np.array([WIDTH * own.std(ddof=1) / math.sqrt(max(1, len(own))) for own in each])
    series = Series(TESTED.upper(), mean, mean - wide, mean + wide)
    return dots("Test NDCG@10 with 95 % intervals over users", list(models), [series])


def against(run: RunFacts) -> dict[str, Difference]:
    """How far the model is above each baseline, on the same users."""
    columns, result = run.ranks, run.result
    if not columns or result is None:
        return {}
    users = columns["user"]
    own = per_user(values(TESTED, columns["full"]), users)[None]
    return {
        kind: difference(
            own, per_user(values(TESTED, columns[f"{kind}.full"]), users)[None], draws=DRAWS
        )
        for kind in computed(result)
    }


def _differences(run: RunFacts) -> str:
    found = against(run)
    if not found:
        return ""
    rows = [
        (kind, f"{each.mean:+.4f}", f"{each.low:+.4f} to {each.high:+.4f}", number(each.p_value, 4))
        for kind, each in found.items()
    ]
    head = ("above", "NDCG@10", "95 % interval", "p")
    note = "Paired bootstrap over users, one seed: other seeds would differ too."
    return table("Test: how far above each baseline", head, rows) + paragraph(note, "small")


def learning(run: RunFacts) -> str:
    """Validation and loss over rounds."""
    told = [line for line in run.metrics if line.get("validation")]
    # rounds that collect a graph train nothing
    losses = [line for line in run.metrics if line.get("loss")]
    if not told and not losses:
        why = "none leave the devices under a guarantee" if run.guaranteed else "it has no rounds"
        return paragraph(f"No learning curves: {why}.")
    best = run.result["best_round"] if run.result else None
    if not losses and len(told) == 1:
        found = told[0]["validation"]["full"].get(TESTED, math.nan)
        return paragraph(f"Validated once, after round {told[0]['round']}: NDCG@10 {found:.4f}.")
    drawn = []
    if told:
        at = np.array([line["round"] for line in told], dtype=np.float64)
        found = np.array([line["validation"]["full"].get(TESTED, math.nan) for line in told])
        series = [Series(TESTED.upper(), found, at=at)]
        drawn.append(curves("Validation NDCG@10", "round", series, best))
    if losses:
        at = np.array([line["round"] for line in losses], dtype=np.float64)
        found = np.array([line["loss"] for line in losses])
        drawn.append(curves("Mean training loss", "round", [Series("loss", found, at=at)]))
    said = "" if best is None else paragraph(f"Dashed: round {best}, whose weights are the model.")
    return both(*drawn) + said


def comparison(rows: Sequence[Row], test: bool) -> str:
    """Runs side by side: as ``ufgraphfr compare`` has them."""
    rankings = ("full", "sampled99") if test else (VALIDATION,)
    shown = [
        (ranking, name)
        for ranking in rankings
        for name in dict.fromkeys(name for row in rows for name in row.metrics)
        if any(name in row.mean[ranking] for row in rows)
    ]
    head = ["run", "seeds"]
    head += [f"{m.upper()}{', 1 of 100' if r == 'sampled99' else ''}" for r, m in shown]
    cells: list[tuple[Cell, ...]]
    cells = [(_name(row), len(row.seeds), *(_cell(row, *each) for each in shown)) for row in rows]
    part = "Test" if test else "Validation"
    said = table(f"{part}: means over seeds, ± standard deviation", head, cells)
    said += folded("In what they differ", lines(map(_settings, rows)))
    if not test:
        return said + paragraph("Settings are chosen by validation; --test shows the test.")
    if any(row.against_first for row in rows):
        tested = [row for row in rows if row.against_first]
        said += table(
            f"NDCG@10 against {rows[0].name.rpartition('/')[2]}, paired bootstrap",
            ("run", "difference", "95 % interval", "p (Holm)"),
            [_against_first(row) for row in tested],
        )
    refused = [f"{_name(row)} is not compared: {row.not_compared}" for row in rows[1:]]
    return said + lines(
        text for text, row in zip(refused, rows[1:], strict=True) if row.not_compared
    )


def _name(row: Row) -> str:
    return row.name.rpartition("/")[2]


def _settings(row: Row) -> str:
    own = ", ".join(f"{key} = {value}" for key, value in row.differs.items())
    return f"{_name(row)}: {own or 'nothing but seeds'}"


def _cell(row: Row, ranking: str, name: str) -> str:
    mean, spread = (each[ranking].get(name, math.nan) for each in (row.mean, row.spread))
    return number(mean) + ("" if math.isnan(spread) else f" ±{spread:.3f}")


def _against_first(row: Row) -> tuple[str, str, str, str]:
    found = row.against_first
    assert found is not None
    interval = f"{found.low:+.4f} to {found.high:+.4f}"
    return _name(row), f"{found.mean:+.4f}", interval, number(row.p_holm, 4)
