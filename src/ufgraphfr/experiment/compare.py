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
from ufgraphfr.evaluation.metrics import values
from ufgraphfr.evaluation.significance import Difference, difference
from ufgraphfr.experiment.artifacts import RunFolder

TESTED = "ndcg@10"
"""The metric whose difference is tested, full ranking."""


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder."""

    name: str
    group: str
    seed: int
    protocol: str
    question: tuple[str, ...]
    result: dict[str, Any]
    users: NDArray[Any]
    ranks: NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """Runs of one configuration.

    Attributes:
        name: of the first of them.
        protocol: ``honest`` or ``legacy-leaky``.
        seeds: their seeds.
        mean: test metrics averaged over seeds, e.g. ``mean["full"]["ndcg@10"]``.
        spread: standard deviations over seeds; NaN for one seed.
        against_first: difference to the first row in NDCG@10; None for the first row, and for
            rows whose protocol or data differ.
    """

    name: str
    protocol: str
    seeds: tuple[int, ...]
    mean: dict[str, dict[str, float]]
    spread: dict[str, dict[str, float]]
    against_first: Difference | None


def read_run(folder: Path) -> Run:
    """Read a finished run.

    Raises:
        InputError: no finished run there.
    """
    run = RunFolder(folder)
    if not run.result.exists():
        raise InputError(f"{folder} holds no finished run (no result.json): finish it first")
    result = json.loads(run.result.read_text(encoding="utf-8"))
    config = tomllib.loads(run.config.read_text(encoding="utf-8"))
    for key in ("seed", "name"):
        config.pop(key)
    columns = read_parquet(run.ranks)
    data, protocol = result["data"], config["protocol"]
    return Run(
        name=result["name"],
        group=json.dumps(config, sort_keys=True),
        seed=result["seed"],
        protocol=result["protocol"],
        question=(data["sha256"], protocol["split"], str(protocol["cold_users"])),
        result=result,
        users=columns["user"],
        ranks=columns["full"],
    )


def compare(folders: Sequence[Path]) -> list[Row]:
    """Rows in the order of their first folder.

    Args:
        folders: finished run folders.

    Raises:
        InputError: no folder, or one without a finished run.
    """
    if not folders:
        raise InputError("name at least one run folder to compare")
    groups: dict[str, list[Run]] = {}
    for folder in folders:
        run = read_run(folder)
        groups.setdefault(run.group, []).append(run)
    first = next(iter(groups.values()))
    return [_row(runs, None if runs is first else first) for runs in groups.values()]


def _row(runs: list[Run], first: list[Run] | None) -> Row:
    lead = runs[0]
    tests = [run.result["test"] for run in runs]
    stacked = {
        ranking: {
            name: np.array([test[ranking][name] for test in tests]) for name in tests[0][ranking]
        }
        for ranking in tests[0]
    }
    comparable = (
        first is not None
        and first[0].question == lead.question
        and np.array_equal(first[0].users, lead.users)
        and first[0].protocol == lead.protocol
    )
    return Row(
        name=lead.name,
        protocol=lead.protocol,
        seeds=tuple(run.seed for run in runs),
        mean={r: {n: float(v.mean()) for n, v in named.items()} for r, named in stacked.items()},
        spread={r: {n: _spread(v) for n, v in named.items()} for r, named in stacked.items()},
        against_first=difference(_tested(runs), _tested(first)) if first and comparable else None,
    )


def _spread(samples: NDArray[np.float64]) -> float:
    return float(samples.std(ddof=1)) if len(samples) > 1 else float("nan")


def _tested(runs: list[Run]) -> NDArray[np.float64]:
    """float64 ``[seeds, users]``."""
    return np.stack([values(TESTED, run.ranks) for run in runs])
