"""Every experiment that is shipped can be built."""

import tomllib
from pathlib import Path

import pytest
import tomli_w

from ufgraphfr.experiment import build, read

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "experiments").rglob("*.toml"))


def test_there_is_a_quickstart():
    assert ROOT / "experiments" / "quickstart.toml" in FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_file_builds_and_is_written_as_it_is_read(path):
    experiment = read(path)
    assert build(tomllib.loads(tomli_w.dumps(experiment.resolved()))) == experiment
    assert path.read_text().startswith("# "), "the first line says what the experiment is for"
