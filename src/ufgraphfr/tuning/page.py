"""Pictures of a search: what mattered, how each setting did, and every trial; one HTML file.

What mattered: PED-ANOVA (Watanabe, Bansal, Hutter, IJCAI 2023), how much narrower each setting is
among the best tenth of the trials than among all.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ufgraphfr.core.folders import write_atomically
from ufgraphfr.evaluation.metrics import SELECTED_BY
from ufgraphfr.experiment.tune_spec import Range
from ufgraphfr.report.charts import Series, curves, dots
from ufgraphfr.report.html import Cell, both, number, paragraph, table
from ufgraphfr.report.page import framed
from ufgraphfr.tuning.search import Tuning, load
from ufgraphfr.tuning.trial import Trial

LEAST = 4
"""Trials without which nothing can be said of what mattered."""


def importances(out: Path) -> dict[str, float]:
    """The share of each key, the largest first; none for too few trials."""
    import optuna

    study = load(out)
    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len(done) < LEAST:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def write_page(tuning: Tuning, trials: list[Trial], out: Path) -> Path:
    """Write ``tune.html`` beside the trials.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    told = [trial for trial in trials if trial.value is not None]
    parts = []
    if shares := importances(out):
        values = Series("share", np.array(list(shares.values())))
        parts.append(dots("What mattered to the validation", list(shares), [values]))
    if told:
        found = np.array([trial.value for trial in told])
        at = np.array([trial.number + 1.0 for trial in told])
        best = np.maximum.accumulate(found)
        both_lines = [Series("trial", found, at=at), Series("best so far", best, at=at)]
        parts.append(curves(f"Validation {SELECTED_BY.upper()} of each trial", "trial", both_lines))
    drawn = [_by_key(key, own, told) for key, own in tuning.space.items()]
    head = ("trial", SELECTED_BY.upper(), "rounds", "ended", *tuning.space)
    rows: list[tuple[Cell, ...]] = [
        (
            str(trial.number + 1),
            number(trial.value, 4),
            trial.rounds,
            trial.state,
            *(_shown(trial.values.get(key)) for key in tuning.space),
        )
        for trial in sorted(trials, key=lambda trial: -(trial.value or -1))
    ]
    said = paragraph(
        "By validation alone: the test was not read. A trial that was given up was below the "
        "median of those before it, at its round.",
        "small",
    )
    page = framed(
        f"Tuning of {tuning.experiment.name}",
        both(*parts)
        + "<h2>Each setting</h2>"
        + both(*filter(None, drawn))
        + "<h2>Trials, the best first</h2>"
        + table("Trials", head, rows)
        + said,
    )
    write_atomically(out / "tune.html", page.encode())
    return out / "tune.html"


def _by_key(key: str, own: Any, told: list[Trial]) -> str:
    """Validation by the values of a key."""
    there = [trial for trial in told if key in trial.values]
    if not there:
        return ""
    found = np.array([trial.value for trial in there])
    if isinstance(own, Range):
        at = np.array([float(trial.values[key]) for trial in there])
        return curves(
            key, key, [Series(SELECTED_BY.upper(), found, at=at)], joined=False, log=own.log
        )
    each = [(value, [t.value or 0.0 for t in there if t.values[key] == value]) for value in own]
    named = [(str(value), values) for value, values in each if values]
    mean = np.array([np.mean(values) for _, values in named])
    low, high = (np.array([f(values) for _, values in named]) for f in (min, max))
    return dots(
        f"{key}: mean, least and most",
        [n for n, _ in named],
        [Series(SELECTED_BY.upper(), mean, low, high)],
    )


def _shown(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
