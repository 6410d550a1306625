"""Finished toy runs to attack."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ufgraphfr.audit.recording import FinishedRun, Recording
from ufgraphfr.audit.replay import record
from ufgraphfr.experiment import build, execute

TOY: dict[str, Any] = {
    "name": "toy",
    "seed": 3,
    "data": {"kind": "synthetic", "users": 40, "items": 60, "groups": 3, "interactions": 10},
    "text": {"kind": "hashing", "width": 16},
    "federation": {"rounds": 3},
    "evaluation": {"every": 3},
}
ALGORITHMS: dict[str, dict[str, Any]] = {
    "fedmf": {"algorithm": {"kind": "fedmf", "dim": 4, "lr": 0.05}},
    "as-coded": {
        "algorithm": {"kind": "ufgraphfr", "as_coded": True, "dim": 8},
        "protocol": {"negatives": "legacy-leaky"},
    },
    "ufgraphformer": {
        "algorithm": {
            "kind": "ufgraphformer",
            "dim": 8,
            "hidden": 8,
            "head": False,
            "graph": {"rounds": 1},
        },
    },
}
ALGORITHMS["compressed"] = {
    **ALGORITHMS["ufgraphformer"],
    "federation": {"rounds": 3, "cohort": 20, "upload": {"codec": "int4"}},
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a finished run, trained once."""
    folder = tmp_path_factory.mktemp("runs")

    def run(name: str) -> Path:
        if not (folder / name).exists():
            for _ in execute(build({**TOY, **ALGORITHMS[name]}), folder / name, device="cpu"):
                pass
        return folder / name

    return run


@pytest.fixture(scope="session")
def recorded(finished: Callable[[str], Path]) -> Callable[[str], Recording]:
    """A recording of a finished run, made once."""
    made: dict[str, Recording] = {}

    def of(name: str) -> Recording:
        if name not in made:
            made[name] = record(FinishedRun.open(finished(name)), count=8, victims=40)
        return made[name]

    return of
