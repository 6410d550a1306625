"""A toy experiment that trains in a fraction of a second."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ufgraphfr.experiment import build, execute

TOY = {
    "name": "toy",
    "seed": 3,
    "data": {"kind": "synthetic", "users": 30, "items": 40, "interactions": 8},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "fedmf", "dim": 4, "lr": 0.05},
    "federation": {"rounds": 4},
    "evaluation": {"every": 2, "baselines": ["popularity"]},
}

Values = dict[str, Any]


@pytest.fixture(autouse=True)
def registry_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what was spent on the toy's data is added up: by no other test."""
    folder = tmp_path / "registry"
    monkeypatch.setattr("ufgraphfr.privacy.accounted.registry.cache_folder", lambda *_: folder)
    return folder


LATEST = "checkpoint/latest.safetensors"
MEASURED = ("seconds", "cpu_seconds_per_round", "peak_rss_bytes")


@pytest.fixture
def toy() -> Callable[..., Values]:
    """The toy's values, with some tables changed: ``toy(federation={"rounds": 2})``."""

    def values(**changes: Any) -> Values:
        found: Values = copy.deepcopy(TOY)
        for name, change in changes.items():
            kind = isinstance(change, dict) and change.get("kind", found.get(name, {}).get("kind"))
            same = isinstance(change, dict) and kind == found.get(name, {}).get("kind")
            found[name] = {**found.get(name, {}), **change} if same else change
        return found

    return values


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    """Runs values to their end and gives the folder."""

    def finished(values: Values, name: str = "run", resume: bool = False) -> Path:
        folder = tmp_path / name
        for _ in execute(build(values), folder, resume=resume, device="cpu"):
            pass
        return folder

    return finished


@pytest.fixture
def outcome() -> Callable[[Path], Values]:
    """A folder's result without what a clock or the machine measured."""

    def read(folder: Path) -> Values:
        return without(MEASURED, json.loads((folder / "result.json").read_text()))

    return read


@pytest.fixture
def everything(outcome: Callable[[Path], Values]) -> Callable[[Path], Values]:
    """All that a folder holds, weights as bytes, without what a clock measured."""

    def read(folder: Path) -> Values:
        clocks = tuple(f"{part}_seconds" for part in ("train", "aggregate", "evaluate", "cpu"))
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        names = ("config.toml", "model.safetensors", "ranks.parquet", LATEST)
        return {
            "result": outcome(folder),
            "metrics": [without(clocks, json.loads(line)) for line in lines],
            **{name: (folder / name).read_bytes() for name in names},
        }

    return read


def without(keys: tuple[str, ...], values: Values) -> Values:
    return {key: value for key, value in values.items() if key not in keys}
