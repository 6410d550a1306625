"""A run that is killed again and again with SIGKILL ends with the uninterrupted result."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tomli_w

SECONDS = 60
ROUNDS = 10

Moment = Callable[[Path], bool]


def has_lines(count: int) -> Moment:
    """The metrics of so many rounds are written."""

    def reached(folder: Path) -> bool:
        metrics = folder / "metrics.jsonl"
        return metrics.exists() and metrics.read_bytes().count(b"\n") >= count

    return reached


def writes_checkpoint(name: str) -> Moment:
    """A checkpoint after the first is being written and not yet in its place."""

    def reached(folder: Path) -> bool:
        latest = folder / "checkpoint" / "latest.safetensors"
        return latest.exists() and (folder / "checkpoint" / f".{name}.partial").exists()

    return reached


def command(file: Path, folder: Path) -> list[str]:
    words = [sys.executable, "-m", "ufgraphfr", "run", str(file), "--out", str(folder)]
    return [*words, "--threads", "1", "--device", "cpu", "--quiet", "--resume"]


def killed_at(moment: Moment, file: Path, folder: Path) -> None:
    process = subprocess.Popen(command(file, folder), stderr=subprocess.PIPE)
    try:
        for _ in waiting():
            if moment(folder):
                break
            assert process.poll() is None, f"ended too early: {process.communicate()[1].decode()}"
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL


def waiting() -> Iterator[None]:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        yield
    pytest.fail("the moment did not come")


FLAGSHIP = {"dim": 8, "hidden": 8, "history": 9, "graph": {"rounds": 4}}
"""Killed while its graph is collected, and after."""


@pytest.fixture(params=[{"kind": "ufgraphfr", "dim": 8}, {"kind": "ufgraphformer"} | FLAGSHIP])
def values(toy, request):
    return toy(
        data={"users": 300, "items": 200, "interactions": 30},
        federation={"rounds": ROUNDS, "cohort": 0.7},
        evaluation={"every": 1},
    ) | {"algorithm": request.param}


@pytest.mark.slow
def test_killed_and_resumed_is_uninterrupted_to_the_last_digit(tmp_path, values, run, everything):
    file, killed = tmp_path / "toy.toml", tmp_path / "killed"
    file.write_text(tomli_w.dumps(values))
    whole = run(values, "whole")
    killed_at(has_lines(1), file, killed)
    killed_at(writes_checkpoint("latest.safetensors"), file, killed)
    killed_at(has_lines(6), file, killed)
    assert not (killed / "result.json").exists()
    subprocess.run(command(file, killed), check=True, timeout=SECONDS)
    assert everything(killed) == everything(whole)
    assert not [path for path in os.listdir(killed / "checkpoint") if path.endswith(".partial")]
