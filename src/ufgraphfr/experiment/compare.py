"""Runs side by side, and which differences mean something.

Runs that differ in their seed alone are one row. A row's difference to the first row is tested by
a bootstrap paired over users (and seeds), from the per-user test ranks kept in the run folders.
"""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.columns import read_parquet
from ufgraphfr.evaluation.metric_sums import RANKINGS
from ufgraphfr.evaluation.metrics import summary, values
from ufgraphfr.evaluation.significance import Difference, difference
from ufgraphfr.experiment.run_folder import RunFolder

TESTED = "ndcg@10"
"""The metric whose difference is tested, full ranking."""


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder: all its users, or those of whom little is known."""

    folder: Path
    group: str
    seed: int
    protocol: str
    split: dict[str, Any]
    result: dict[str, Any]
    test: dict[str, dict[str, float]]
    users: NDArray[Any]
    ranks: NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """Runs of one configuration.

    Attributes:
        name: folder of the first of them.
        data: name of the data set.
        protocol: ``honest`` or ``legacy-leaky``.
        seeds: their seeds.
        mean: test metrics averaged over seeds, e.g. ``mean["full"]["ndcg@10"]``, and
            ``mean["new items"]["ndcg@10"]`` where some were kept out.
        spread: standard deviations over seeds; NaN for one seed.
        against_first: difference to the first row in NDCG@10; None if there is no comparing.
        not_compared: why not; empty if compared.
    """

    name: str
    data: str
    protocol: str
    seeds: tuple[int, ...]
    mean: dict[str, dict[str, float]]
    spread: dict[str, dict[str, float]]
    against_first: Difference | None
    not_compared: str


def read_run(folder: Path, at_most: int | None = None) -> Run:
    """Read a finished run.

    Args:
        folder: where it is.
        at_most: leave out users of whom the test knows more items than this.

    Raises:
        InputError: no finished run there, or no such user.
    """
    run = RunFolder(folder)
    if not run.result.exists():
        raise InputError(f"{folder} holds no finished run (no result.json): finish it first")
    result = json.loads(run.result.read_text(encoding="utf-8"))
    config = tomllib.loads(run.config.read_text(encoding="utf-8"))
    for key in ("seed", "name"):
        config.pop(key)
    columns, test = read_parquet(run.ranks), result["test"]
    if at_most is not None:
        columns = _sparse(columns, at_most, folder)
        test = {ranking: summary(columns[ranking]) for ranking in RANKINGS}
    protocol = config["protocol"]
    return Run(
        folder=folder,
        group=json.dumps(config, sort_keys=True),
        seed=result["seed"],
        protocol=result["protocol"],
        split={key: value for key, value in protocol.items() if key != "negatives"},
        result=result,
        # runs of before there were new items say nothing of them; they are no user's
        test=test | {"new items": (at_most is None and result.get("new_items")) or {}},
        users=columns["user"],
        ranks=columns["full"],
    )


def _sparse(columns: dict[str, Any], at_most: int, folder: Path) -> dict[str, Any]:
    """The ranks of users of whom at most so many items are known."""
    known = columns.get("known")
    if known is None:
        raise InputError(f"{folder} does not say how much is known of each user: run it again")
    if known.min() > at_most:
        raise InputError(
            f"{folder} has no user with at most {at_most} known items: the fewest are {known.min()}"
        )
    return {name: column[known <= at_most] for name, column in columns.items()}


def compare(folders: Sequence[Path], at_most: int | None = None) -> list[Row]:
    """Rows in the order of their first folder.

    Args:
        folders: finished run folders.
        at_most: see `read_run`; coverage and new items are left out then.

    Raises:
        InputError: no folder, one without a finished run, or the same run twice; no such user.
    """
    if not folders:
        raise InputError("name at least one run folder to compare")
    groups: dict[str, list[Run]] = {}
    for folder in folders:
        run = read_run(folder, at_most)
        runs = groups.setdefault(run.group, [])
        if run.seed in (known.seed for known in runs):
            raise InputError(
                f"{folder} repeats a run of the same configuration and seed {run.seed}, which says "
                f"nothing new about seeds: name it once"
            )
        runs.append(run)
    first = next(iter(groups.values()))
    return [_row(runs, None if runs is first else first) for runs in groups.values()]


def _row(runs: list[Run], first: list[Run] | None) -> Row:
    lead = runs[0]
    tests = [run.test for run in runs]
    stacked = {
        ranking: {
            name: np.array([test[ranking][name] for test in tests]) for name in tests[0][ranking]
        }
        for ranking in tests[0]
    }
    why_not = _why_not(lead, first[0]) if first else "first"
    return Row(
        name=str(lead.folder),
        data=lead.result["data"]["name"],
        protocol=lead.protocol,
        seeds=tuple(run.seed for run in runs),
        mean={r: {n: float(v.mean()) for n, v in named.items()} for r, named in stacked.items()},
        spread={r: {n: _spread(v) for n, v in named.items()} for r, named in stacked.items()},
        against_first=None if why_not or not first else difference(_tested(runs), _tested(first)),
        not_compared=why_not,
    )


def _why_not(run: Run, first: Run) -> str:
    """Why two runs are not asked the same question; empty if they are."""
    if run.result["data"]["sha256"] != first.result["data"]["sha256"]:
        return "other data"
    if run.split != first.split or not np.array_equal(run.users, first.users):
        return "other split"
    return "" if run.protocol == first.protocol else "other protocol"


def _spread(samples: NDArray[np.float64]) -> float:
    return float(samples.std(ddof=1)) if len(samples) > 1 else float("nan")


def _tested(runs: list[Run]) -> NDArray[np.float64]:
    """float64 ``[seeds, users]``."""
    return np.stack([values(TESTED, run.ranks) for run in runs])
