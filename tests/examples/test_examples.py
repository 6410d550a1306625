"""Every example runs, is short, and does what it says."""

import ast
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import ufgraphfr

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


def command(folder, *words):
    """The command line in a process of its own that starts in a folder."""
    line = [sys.executable, "-m", "ufgraphfr", *map(str, words)]
    ended = subprocess.run(
        line, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


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


@pytest.mark.slow
def test_own_algorithm_is_found_beside_its_file_from_another_folder(tmp_path):
    """Run, gone on with and recommended from, in processes that start elsewhere."""

    file = EXAMPLES / "own_algorithm.toml"
    assert "own_algorithm.FedPopularity on synthetic" in command(tmp_path, "run", file)
    assert "own_algorithm.FedPopularity" in command(tmp_path, "run", file, "--resume")
    words = "recommend", "runs/own-algorithm", "--user", "u1", "--json"
    listed = json.loads(command(tmp_path, *words))
    assert len(listed["recommended"]) == 10


def test_own_table(run):
    out = run("own_table.py")
    assert "reader3 borrowed ['Carmilla', 'Frankenstein', 'Middlemarch', 'Emma']" in out
    assert out.count("  next: ") == 2


@pytest.mark.slow
def test_onnx_model_lists_what_the_run_recommends(tmp_path):
    model = {"kind": "ufgraphformer", "dim": 8, "heads": 2}
    values = {
        "data": {"kind": "synthetic", "users": 40, "items": 48, "interactions": 12},
        "text": {"kind": "hashing"},
        "algorithm": model,
        "federation": {"rounds": 10},
    }
    run_of = ufgraphfr.run(values, tmp_path / "run")
    ended = command(tmp_path, "export", "run", "model.onnx", "--format", "onnx")
    assert "100.0% of the ten best are the same" in ended
    first = run_of.recommend(history=[], n=2)["title"].to_list()
    titles = run_of.recommend(history=first, n=10)["title"].to_list()
    blocked = "import sys; sys.modules['torch'] = sys.modules['ufgraphfr'] = None; "
    code = f"{blocked}import runpy; runpy.run_path({str(EXAMPLES / 'onnx_model.py')!r})"
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.onnx"), *first],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout.splitlines()
    assert [line.split("  ", 1)[1] for line in told[:-1]] == titles
    assert told[-1] == "no privacy guarantee"
