"""The command line in this process, on a toy experiment."""

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ufgraphfr.cli.main import main

TOY = """
seed = 3
[data]
kind = "synthetic"
users = 30
items = 60
groups = 3
interactions = 20
[protocol]
cold_users = 0.2
[text]
kind = "hashing"
[algorithm]
kind = "fedmf"
dim = 4
[federation]
rounds = 4
[evaluation]
every = 2
baselines = ["popularity", "position-popularity"]
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable]:
    """Runs the command line with these words, 80 columns wide."""
    level = logging.getLogger("ufgraphfr").level
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("COLUMNS", "80")

    def command(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["ufgraphfr", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    yield command
    logging.getLogger("ufgraphfr").setLevel(level)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """The toy's file, in a folder of its own."""
    path = tmp_path / "toy.toml"
    path.write_text(TOY)
    return path
