"""Runs that several processes share: what comes out is what one process gives."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.settings import flat

DATA = {"kind": "synthetic", "users": 50, "items": 60, "interactions": 14}
TEXT = {"kind": "hashing", "width": 8}
EVALUATION = {"every": 2, "baselines": ["popularity"]}
COMMON = {"seed": 3, "data": DATA, "text": TEXT, "evaluation": EVALUATION}
PRIVATE = {"kind": "central-jdp", "epsilon": 8.0, "seeded_noise": True}
RUNS: dict[str, dict[str, Any]] = {
    # sums of a graph, a server's Adam, a fitted fusion, and cold users
    "flagship": {
        "algorithm": {"kind": "ufgraphformer"},
        "federation": {"rounds": 11},
        "protocol": {"cold_users": 0.1, "cold_least": 12},
    },
    # weights that stay with the users, and each one's own reply
    "personal": {
        "algorithm": {"kind": "ufgraphfr"},
        "federation": {"rounds": 3, "cohort": 0.5},
        "text": TEXT,
    },
    # weights of who took part alone
    "many clients": {
        "algorithm": {"kind": "pfedrec"},
        "federation": {"rounds": 4, "cohort": 4},
    },
    # two workers, and rounds with one client: some have nobody
    "one client": {
        "algorithm": {"kind": "fedmf", "dim": 4},
        "federation": {"rounds": 5, "cohort": 1},
    },
    "sparse sums": {"algorithm": {"kind": "graph-filter"}, "federation": {"rounds": 9}},
    "private": {
        "algorithm": {"kind": "fedmf", "dim": 4},
        "federation": {"rounds": 4, "cohort": 0.5, "sampling": "rotation"},
        "privacy": PRIVATE,
    },
}
PROGRAM = """
import json, sys
from pathlib import Path
from ufgraphfr.core.workers import joined
from ufgraphfr.experiment import build, execute, population
from ufgraphfr.federation import private_state
with joined() as group:
    assert group.size == 2
    for name, values in json.loads(sys.argv[1]).items():
        private_state.MANY = population.MANY = 0 if name == "many clients" else 50_000
        list(execute(build(values), Path(sys.argv[2]) / name, resume=True))
"""


def experiments() -> dict[str, dict[str, Any]]:
    return {name: COMMON | {"name": name.replace(" ", "-")} | own for name, own in RUNS.items()}


def launched(folder: Path, values: dict[str, Any]) -> "subprocess.Popen[str]":
    program = folder / "program.py"
    program.write_text(PROGRAM)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.Popen(
        [*launch, "--nproc-per-node", "2", str(program), json.dumps(values), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def numbers(values: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in flat(values).items() if value is not None}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what two workers gave."""
    folder = tmp_path_factory.mktemp("workers")
    launch = launched(folder, experiments())
    _, said = launch.communicate(timeout=300)
    assert launch.returncode == 0, said
    return folder


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow if n in ("flagship", "personal") else ())
        for n in RUNS
    ],
)
def test_two_workers_give_what_one_does(
    name: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "many clients":
        for module in ("federation.private_state", "experiment.population"):
            monkeypatch.setattr(f"ufgraphfr.{module}.MANY", 0)
    list(execute(build(experiments()[name]), tmp_path / "alone"))
    alone, both = Run(tmp_path / "alone"), Run(shared / name)
    for part in ("validation", "test", "cold", "cold_all", "baselines"):
        found, expected = (numbers({part: run.result[part]}) for run in (both, alone))
        assert found == pytest.approx(expected, rel=1e-5), part
    for same in ("best_round", "bytes_up_per_client_round", "bytes_down_per_client_round"):
        assert both.result[same] == pytest.approx(alone.result[same]), same
    assert list(both.ranks["user"]) == list(alone.ranks["user"])
    assert both.ranks["full"] == pytest.approx(alone.ranks["full"])
    model, other = (load_file(run.folder / "model.safetensors") for run in (alone, both))
    assert model.keys() == other.keys()
    for key, value in model.items():
        torch.testing.assert_close(other[key], value, atol=1e-5, rtol=1e-4)
    facts = json.loads((shared / name / "environment.json").read_text())
    assert facts["workers"] == 2


def test_under_a_guarantee_they_are_the_same_to_the_last_digit(
    shared: Path, tmp_path: Path
) -> None:
    list(execute(build(experiments()["private"]), tmp_path / "alone"))
    one, both = (
        folder / "model.safetensors" for folder in (tmp_path / "alone", shared / "private")
    )
    assert one.read_bytes() == both.read_bytes()
    paid = (shared / "private" / "ledger.jsonl").read_text().splitlines()
    assert len(paid) == 1 + 4  # the guarantee, and each round once


@pytest.mark.slow
def test_a_killed_worker_stops_the_others_and_another_number_goes_on(tmp_path: Path) -> None:
    values = experiments()["flagship"]
    values["federation"] = {"rounds": 120}
    launch = launched(tmp_path, {"run": values})
    latest = tmp_path / "run" / "checkpoint" / "latest.safetensors"
    deadline = time.monotonic() + 120
    while not latest.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = subprocess.run(
        ["pgrep", "-P", str(launch.pid)], capture_output=True, text=True, check=True
    )
    os.kill(int(workers.stdout.split()[-1]), signal.SIGKILL)
    _, said = launch.communicate(timeout=60)
    assert launch.returncode != 0
    assert "another worker of this run is gone" in said
    assert "--resume" in said

    list(execute(build(values), tmp_path / "run", resume=True))
    list(execute(build(values), tmp_path / "alone"))
    resumed, alone = Run(tmp_path / "run"), Run(tmp_path / "alone")
    found, expected = (numbers(run.result["test"]["full"]) for run in (resumed, alone))
    assert found == pytest.approx(expected, rel=1e-3)
