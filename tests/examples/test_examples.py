"""Every example runs, is short, and does what it says."""

import ast
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LONGEST = 40


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def example(name, *words):
        path = EXAMPLES / name
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, words)])
        runpy.run_path(str(path), run_name="__main__")
        return capsys.readouterr().out

    return example


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_says_how_to_run_it(path):
    assert len(path.read_text().splitlines()) <= LONGEST
    assert f"python examples/{path.name}" in ast.get_docstring(ast.parse(path.read_text()))


def test_run_experiment(run, tmp_path):
    file = tmp_path / "toy.toml"
    file.write_text(
        '[data]\nkind = "synthetic"\n[text]\nkind = "hashing"\n'
        '[algorithm]\nkind = "fedmf"\n[federation]\nrounds = 2\n'
    )
    out = run("run_experiment.py", file, tmp_path / "out")
    assert "fedmf on synthetic, seed 0" in out
    assert "ndcg@10 0." in out
    assert "shape: (2, " in out, "a row for each round"
    assert "user u0 is recommended ['" in out


def test_own_algorithm_equals_the_centralised_popularity(run, tmp_path):
    """Sums of what clients like are what the baseline counts."""
    assert run("own_algorithm.py") == "FedPopularity keeps what every algorithm owes\n"
    run("run_experiment.py", EXAMPLES / "own_algorithm.toml", tmp_path / "own")
    own = json.loads((tmp_path / "own" / "result.json").read_text())
    file = tmp_path / "popularity.toml"
    file.write_text(
        '[data]\nkind = "synthetic"\n[text]\nkind = "hashing"\n[algorithm]\nkind = "popularity"\n'
    )
    run("run_experiment.py", file, tmp_path / "out")
    popularity = json.loads((tmp_path / "out" / "result.json").read_text())
    assert own["test"] == popularity["test"]


def test_own_algorithm_is_found_beside_its_file_from_another_folder(tmp_path):
    """Run, gone on with and recommended from, in processes that start elsewhere."""

    def ufgraphfr(*words):
        command = [sys.executable, "-m", "ufgraphfr", *map(str, words)]
        ended = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    file = EXAMPLES / "own_algorithm.toml"
    assert "own_algorithm.FedPopularity on synthetic" in ufgraphfr("run", file)
    assert "own_algorithm.FedPopularity" in ufgraphfr("run", file, "--resume")
    listed = json.loads(ufgraphfr("recommend", "runs/own-algorithm", "--user", "u1", "--json"))
    assert len(listed["recommended"]) == 10


def test_own_table(run):
    out = run("own_table.py")
    assert "reader3 borrowed ['Carmilla', 'Frankenstein', 'Middlemarch', 'Emma']" in out
    assert out.count("  next: ") == 2
