"""What a run holds grows with what is touched: no table of users by items or by users."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STAGES = Path(__file__).parents[2] / "benchmarks" / "scale" / "stages.py"
MODEL = STAGES.with_name("model.py")


def measured(size: str, out: Path, *options: str) -> dict:
    command = [sys.executable, str(STAGES), size, "--out", str(out), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return json.loads(out.read_text().splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fedmf", "pfedrec"])
def test_nothing_is_as_large_as_users_by_items(tmp_path: Path, kind: str) -> None:
    """30,000 x 30,000 of one byte each would be 900 MB, of numbers 3,600 MB."""
    options = ("--mean", "12", "--cohort", "500", "--kind", kind, "--asked", "500")
    stages = measured("30000x30000", tmp_path / "found", *options)["stages"]
    assert stages["evaluate"]["peak_mb"] - stages["start"]["peak_mb"] < 600


@pytest.mark.slow
def test_costs_are_fitted_to_what_was_measured(tmp_path: Path) -> None:
    out = tmp_path / "found"
    for size in ("500x400", "1000x400"):
        measured(size, out, "--mean", "8", "--cohort", "100")
    told = subprocess.run(
        [sys.executable, str(MODEL), str(out)], check=True, capture_output=True, text=True
    )
    assert "| 1,000 | 400 |" in told.stdout
    assert "load" in told.stdout


@pytest.mark.slow
def test_a_tree_adds_up_what_one_aggregator_cannot() -> None:
    script = STAGES.with_name("aggregators.py")
    command = [sys.executable, str(script), "--numbers", "200000", "--window", ".1"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    last = [each.strip() for each in told.splitlines()[-1].strip("|").split("|")]
    assert last[0] == "1,000,000"
    assert last[2:4] == ["never", "never"]
    assert last[4:6] == ["10,000 + 100 + 1", "1,010,100"]


@pytest.mark.slow
def test_utility_by_epsilon_and_size_is_a_table_and_a_picture(tmp_path: Path) -> None:
    script, out = STAGES.with_name("privacy.py"), tmp_path / "found"
    sizes = ["400", "--items", "1000", "--asked", "50", "--servers", "trusted"]
    command = [sys.executable, str(script), *sizes, "--out", str(out), "--epsilons"]
    told = subprocess.run([*command, ".25", "8"], check=True, capture_output=True, text=True).stdout
    assert told.count("| 400 | trusted |") == 2
    before = out.read_text()
    subprocess.run([*command, "8", "2"], check=True, capture_output=True)
    assert out.read_text().startswith(before)
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [each["epsilon"] for each in found] == [0.25] * 3 + [8.0] * 3 + [2.0] * 3
    by_model = {(each["epsilon"], each["model"]): each["ndcg@10"] for each in found}
    assert by_model[8.0, "flagship without noise"] >= by_model[0.25, "flagship"]
    picture = tmp_path / "picture.svg"
    drawing = [sys.executable, str(STAGES.with_name("privacy_picture.py")), str(out), str(picture)]
    subprocess.run(drawing, check=True)
    drawn = picture.read_text()
    for model in {each["model"] for each in found}:
        assert f'id="400-{model.replace(" ", "-")}"' in drawn
    subprocess.run(drawing, check=True)
    assert picture.read_text() == drawn


@pytest.mark.slow
def test_a_dataloader_loop_trains_the_same_model() -> None:
    script = STAGES.with_name("loop.py")
    sizes = ["--users", "300", "--items", "1000", "--cohort", "60"]
    told = subprocess.run(
        [sys.executable, str(script), *sizes], check=True, capture_output=True, text=True
    )
    found = json.loads(told.stdout)
    moved = found["norm_of_the_change"]
    assert moved["loop"] == pytest.approx(moved["stacked"], rel=0.1)
