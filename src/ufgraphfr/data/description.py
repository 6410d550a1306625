"""What a data set holds, in counts: how much, how it is spread, what its order and texts are worth.

Nothing here reads a file: all of it follows from a `Dataset`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.timestamps import STEP, unit_of

QUANTILES = {
    "min": 0.0,
    "p10": 0.1,
    "p25": 0.25,
    "median": 0.5,
    "p75": 0.75,
    "p90": 0.9,
    "max": 1.0,
}
SENTENCES = 5
FEW = 5
"""Below so many interactions for each user there is little to learn a user's taste from."""
TIED = 0.5
"""Above this share of ties, time says little of what came first."""

_LAST = 10**10
"""Seconds from 1970 to 2286; no data are later, or as much earlier."""


def facts_of(data: Dataset) -> dict[str, Any]:
    """The facts as plain values, under keys that stay.

    Args:
        data: the data set.

    Returns:
        ``found`` (users, items, interactions), ``per_user`` and ``per_item`` (mean and
        quantiles of interactions), ``time`` (None without times), ``joins`` (how many users have
        a profile, and items a title or features), ``sentences``, ``feature_columns``,
        ``rows_read`` and ``cleaning`` (rows of interactions in the files, and what is left out),
        ``notes`` and ``warnings``.
    """
    rows, catalogue = data.interactions, data.catalogue
    facts: dict[str, Any] = {
        "found": {"users": rows.n_users, "items": rows.n_items, "interactions": len(rows)},
        "per_user": _spread(np.bincount(rows.user, minlength=rows.n_users)),
        "per_item": _spread(np.bincount(rows.item, minlength=rows.n_items)),
        "sequential": rows.sequential,
        "time": _time(rows),
        "joins": {
            "users_with_profile": sum(map(bool, data.users.profiles)),
            "items_with_title": sum(
                title != name for title, name in zip(catalogue.titles, catalogue.items, strict=True)
            ),
            "items_with_features": _featured(catalogue.features, rows.n_items),
        },
        "sentences": list(data.users.texts[:SENTENCES]),
        "distinct_sentences": len(set(data.users.texts)),
        "feature_columns": {
            name: sum(map(bool, values)) for name, values in catalogue.features.items()
        },
        "rows_read": data.rows_read,
        "cleaning": asdict(data.cleaning),
        "left out": str(data.cleaning),
        "notes": list(data.notes),
    }
    return facts | {"warnings": _warnings(facts)}


def _spread(counts: NDArray[np.int64]) -> dict[str, float]:
    values = np.quantile(counts, list(QUANTILES.values()))
    spread = dict(zip(QUANTILES, values.round(1).tolist(), strict=True))
    return {"mean": round(float(counts.mean()), 1), **spread}


def _featured(features: Mapping[str, tuple[tuple[str, ...], ...]], items: int) -> int:
    has = np.zeros(items, bool)
    for values in features.values():
        has |= np.array([bool(own) for own in values])
    return int(has.sum())


def _date(stamp: int, latest: int) -> str | None:
    """The day, if the latest is seconds, milliseconds, micro- or nanoseconds since 1970."""
    unit = unit_of(latest)
    if unit is None or abs(seconds := stamp // STEP**unit) >= _LAST:
        return None
    return (datetime(1970, 1, 1) + timedelta(seconds=seconds)).date().isoformat()


def _time(rows: Interactions) -> dict[str, int | str | None] | None:
    """First and last time in the unit they were read in, and the rows and users with ties."""
    if rows.timestamp is None:
        return None
    order = np.lexsort((rows.timestamp, rows.user))
    user, stamp = rows.user[order], rows.timestamp[order]
    same = (user[1:] == user[:-1]) & (stamp[1:] == stamp[:-1])
    tied = np.append(same, False) | np.append(False, same)
    return {
        "first": int(stamp.min()),
        "last": int(stamp.max()),
        "first_date": _date(int(stamp.min()), int(stamp.max())),
        "last_date": _date(int(stamp.max()), int(stamp.max())),
        "tied_rows": int(tied.sum()),
        "tied_users": rows.tied_users,
    }


def _warnings(facts: dict[str, Any]) -> list[str]:
    found, time = facts["found"], facts["time"]
    told = []
    if not facts["sequential"]:
        told.append("the order of a user's interactions means nothing: sequences cannot help")
    elif time is None:
        told.append("there are no times: the order of the file is taken for the order of time")
    if time and time["tied_rows"] > TIED * found["interactions"]:
        share = time["tied_rows"] / found["interactions"]
        told.append(f"{share:.0%} of the rows tie in time with another of the same user")
    mean = facts["per_user"]["mean"]
    if mean < FEW:
        told.append(f"a user has {mean:.1f} interactions on average: there is little to learn from")
    if facts["distinct_sentences"] == 1 and found["users"] > 1:
        told.append("all users have the same sentence: user text cannot help")
    if facts["per_user"]["max"] >= found["items"]:
        told.append("a user has every item: there is nothing to rank its held-out items against")
    return told
