"""For whom it works: accuracy by how active users are, by their profiles, and for cold users."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.evaluation.metrics import per_user, values
from ufgraphfr.experiment.compare import TESTED
from ufgraphfr.report.charts import Series, dots
from ufgraphfr.report.gather import RunFacts
from ufgraphfr.report.html import both, paragraph, table
from ufgraphfr.report.results import WIDTH, best_baseline, computed

PARTS = 5
"""Groups of users that are as large as each other."""
LEAST = 10
"""Users of a group; smaller ones are told together, as nothing about single people."""
MOST_GROUPS = 12
MOST_FIELDS = 4

Groups = dict[str, NDArray[np.bool_]]
KEPT_OUT = {
    "cold": "Users that never trained: NDCG@10 of their next ten items",
    "cold_all": "Users that never trained: NDCG@10 of all their later items",
    "new_items": "Items that never trained, among themselves",
}


def by_activity(run: RunFacts) -> str:
    """NDCG@10 of users by how many items are known of them."""
    if "known" not in run.ranks:
        return paragraph(_no_ranks(run))
    groups = quantiles(run.ranks["known"].astype(np.float64), "items")
    return _drawn(run, "By how many items are known of a user", groups)


def by_profile(run: RunFacts) -> str:
    """NDCG@10 of users by each field of their profiles."""
    if not run.ranks:
        return paragraph(_no_ranks(run))
    fields = list(dict.fromkeys(name for profile in run.profiles for name in profile))
    if not fields:
        why = run.missing or "the users of this data set have none"
        return paragraph(f"No profiles: {why}.")
    drawn = [
        _drawn(run, f"By {name}", groups)
        for name in fields
        if len(groups := _by_field(run.profiles, name)) > 1
    ]
    more = len(drawn) - MOST_FIELDS
    said = f"{more} more fields are not drawn." if more > 0 else ""
    return both(*drawn[:MOST_FIELDS]) + paragraph(
        f"Bars are 95 % intervals: groups whose bars overlap widely may be equal. Groups of fewer "
        f"than {LEAST} users are told together. {said}",
        "small",
    )


def quantiles(found: NDArray[np.float64], unit: str) -> Groups:
    """Groups of about equal size, by a number of each user; the same number is the same group."""
    edges = np.unique(np.quantile(found, np.linspace(0, 1, PARTS + 1)).round())
    if len(edges) == 1:
        return {f"{edges[0]:g} {unit}".strip(): np.ones(len(found), dtype=bool)}
    groups: Groups = {}
    for low, high in pairwise(edges):
        last = high == edges[-1]
        inside = (found >= low) & ((found <= high) if last else (found < high))
        if inside.any():
            name = f"{found[inside].min():g} to {found[inside].max():g} {unit}"
            groups[name.strip()] = inside
    return groups


def _by_field(profiles: Sequence[Mapping[str, str]], name: str) -> Groups:
    each = np.array([profile.get(name, "") for profile in profiles], dtype=object)
    told = np.array([value for value in each if value])
    numbers = _numbers(told)
    if numbers is not None and len(np.unique(numbers)) > PARTS:
        there = np.array([bool(value) for value in each])
        found = {}
        for label, inside in quantiles(numbers, "").items():
            mask = np.zeros(len(each), dtype=bool)
            mask[there] = inside
            found[label] = mask
        return found
    kinds, counts = np.unique(told.astype(str), return_counts=True)
    order = [str(kinds[place]) for place in np.argsort(-counts, kind="stable")]
    large = [kind for kind in order if (each == kind).sum() >= LEAST][:MOST_GROUPS]
    groups = {kind: each == kind for kind in large}
    rest = ~np.isin(each.astype(str), [*large, ""])
    if rest.sum() >= LEAST:
        groups["others together"] = rest
    return groups


def _numbers(told: NDArray[Any]) -> NDArray[np.float64] | None:
    try:
        found = told.astype(np.float64)
    except ValueError:
        return None
    return found if np.isfinite(found).all() else None


def _drawn(run: RunFacts, title: str, groups: Groups) -> str:
    """Each group with the model and the strongest baseline; masks are of targets."""
    assert run.result is not None
    models = {run.result["algorithm"]: "full"}
    if (beside := best_baseline(run.result)) is not None:
        models[beside] = f"{beside}.full"
    users = run.ranks["user"]
    counts = [len(np.unique(users[inside])) for inside in groups.values()]
    names = [f"{name} ({count})" for name, count in zip(groups, counts, strict=True)]
    series = []
    for kind, column in models.items():
        each = [
            per_user(values(TESTED, run.ranks[column][inside]), users[inside])
            for inside in groups.values()
        ]
        mean = np.array([own.mean() for own in each])
        wide = np.array(
            [WIDTH * own.std(ddof=1) / len(own) ** 0.5 if len(own) > 1 else 0.0 for own in each]
        )
        series.append(Series(kind, mean, np.maximum(mean - wide, 0), mean + wide))
    return dots(f"{title}: test NDCG@10 (users)", names, series)


def cold(run: RunFacts) -> str:
    """Users and items that were kept out of training."""
    result = run.result
    if result is None or not run.test:
        return paragraph("A figure of the test: shown of a finished run with --test.")
    parts = [part for part in KEPT_OUT if result.get(part)]
    if not parts:
        return paragraph(
            "None were kept out, or their figures may not be shared: [protocol] cold_users = 0.2 "
            "keeps a fifth of the users out of training and asks for them in the end."
        )
    tables = []
    for part in parts:
        names = list(result[part])
        models = {**computed(result), result["algorithm"]: result}
        rows = [
            [kind, *((own.get(part) or {}).get(name) for name in names)]
            for kind, own in models.items()
        ]
        head = ["model", *(name.replace("ndcg@10 ", "") for name in names)]
        tables.append(table(KEPT_OUT[part], head, rows, strong=len(rows) - 1))
    return "".join(tables)


def _no_ranks(run: RunFacts) -> str:
    if not run.test:
        return "A figure of the test: shown with --test."
    return "Ranks of users are not here: they stay on the devices, or may not be shared."
