"""What kept test ranks say: metrics that a run did not compute, users of whom it knows little."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.protocol_draws import SAMPLED
from ufgraphfr.evaluation.metrics import NAMES, metric, summary


def computed(
    there: dict[str, float],
    wanted: Iterable[str],
    columns: dict[str, Any],
    ranking: str,
    items: int,
) -> dict[str, float]:
    """Metrics of a ranking: those that are there, and others of ranks from the kept ranks."""
    if not len(columns["user"]):
        return there
    new = [metric(name) for name in dict.fromkeys((*NAMES, *wanted)) if name not in there]
    if not new:
        return there
    users, candidates = columns["user"], None
    if ranking == "sampled99":
        candidates = np.full(len(users), SAMPLED + 1)
    elif "known" in columns:
        counts = np.unique(users, return_inverse=True)[1]
        candidates = items - columns["known"] - np.bincount(counts)[counts] + 1
    if candidates is None:
        new = [each for each in new if each.kind != "auc"]
    return there | summary(columns[ranking], users, new, candidates)


def sparse(columns: dict[str, Any], at_most: int, folder: Path) -> dict[str, Any]:
    """The ranks of users of whom at most so many items are known."""
    known = columns.get("known")
    if known is None:
        raise InputError(f"{folder} does not say how much is known of each user: run it again")
    if known.min() > at_most:
        raise InputError(
            f"{folder} has no user with at most {at_most} known items: the fewest are {known.min()}"
        )
    return {name: column[known <= at_most] for name, column in columns.items()}
