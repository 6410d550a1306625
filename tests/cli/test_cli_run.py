"""``run``: what people see, what is refused, and how it is interrupted."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from ufgraphfr.cli.results import COLUMNS

ROUND = r"round 2/4  loss "


def test_a_run_shows_rounds_and_results(cli, toy, tmp_path):
    out = tmp_path / "out"
    ended = cli("run", toy, "--out", out, "--threads", 1, "--set", "data.items=141")
    assert ended.code == 0, ended.err
    lines = [line for line in ended.out.splitlines() if line.startswith("round ")]
    for line, number in zip(lines, (2, 4), strict=False):
        assert line.startswith(f"round {number}/4  loss 0.")
        for part in ("val NDCG@10 0.", " clients/s", "ETA 0:00:0"):
            assert part in line
    assert ended.out.startswith("toy: fedmf on synthetic, seed 3, honest protocol\n")
    result = json.loads((out / "result.json").read_text())
    (row,) = [line.split() for line in ended.out.splitlines() if line.startswith(" fedmf ")][:1]
    assert row[1:] == [f"{result['test'][r][name]:.3f}" for r, name, _ in COLUMNS]
    for text in ("all items", "1 of 100", "position-popularity", "known=10", "picked on"):
        assert text in ended.out
    assert str(out) in ended.out


def test_a_table_shows_the_metrics_asked_for(cli, toy, tmp_path):
    wish = 'evaluation.metrics=["map@3", "gini", "auc"]'
    ended = cli(
        "run", toy, "--out", tmp_path / "out", "--set", wish, "--set", "federation.rounds=1"
    )
    assert ended.code == 0, ended.err
    found = json.loads((tmp_path / "out" / "result.json").read_text())["test"]
    (row,) = [line.split() for line in ended.out.splitlines() if line.startswith(" fedmf ")][:1]
    shown = [found["full"][name] for name in ("map@3", "gini@10", "auc")]
    shown += [found["sampled99"].get(name) for name in ("map@3", "auc")]
    assert row[1:] == ["-" if value is None else f"{value:.3f}" for value in shown]
    assert "MAP@3" in ended.out


def test_the_results_fit_a_terminal_of_80_columns(cli, toy, tmp_path):
    ended = cli("run", toy, "--out", tmp_path / "out")
    # a path is as long as it is
    tables = [line for line in ended.out.splitlines() if str(tmp_path) not in line]
    assert max(len(line.rstrip()) for line in tables) <= 80
    for name in ("popularity", "position-popularity", "fedmf"):
        rows = [line for line in tables if line.startswith(f" {name} ")]
        assert len(rows) == 3, "one unwrapped row in each of the three tables"


def test_the_leaky_protocol_is_marked(cli, toy, tmp_path):
    words = ("run", toy, "--out", tmp_path / "out", "--set", "protocol.negatives=legacy-leaky")
    ended = cli(*words)
    assert "legacy-leaky protocol" in ended.out
    assert "LEAKY PROTOCOL" in ended.out


def test_quiet_prints_nothing(cli, toy, tmp_path):
    ended = cli("run", toy, "--out", tmp_path / "out", "--quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert (tmp_path / "out" / "result.json").exists()


def test_the_folder_is_runs_and_the_name(cli, toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("run", toy).code == 0
    assert (tmp_path / "runs" / "toy" / "result.json").exists()
    again = cli("run", toy)
    assert again.code == 2
    assert "finished: show its result with --resume" in again.err
    shown = cli("run", toy, "--resume")
    assert shown.code == 0
    assert " fedmf " in shown.out
    assert "round 2/4" not in shown.out


def test_settings_of_the_command_line_win(cli, toy, tmp_path):
    out = tmp_path / "out"
    words = ("--set", "federation.rounds=2", "--set", "algorithm.lr=0.03", "--seed", 8)
    assert cli("run", toy, "--out", out, *words).code == 0
    result = json.loads((out / "result.json").read_text())
    assert (result["rounds"], result["seed"]) == (2, 8)
    assert "lr = 0.03" in (out / "config.toml").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data-dir", "nowhere"), "--data-dir nowhere is not a folder"),
        (("--device", "tpu"), "--device tpu: choose auto, cpu or cuda"),
        (("--set", "data.kind=syn"), "no data set 'syn'"),
        (("--threads", 0), "'--threads'"),
    ],
)
def test_bad_options_leave_no_folder(cli, toy, tmp_path, words, message):
    ended = cli("run", toy, "--out", tmp_path / "out", *words)
    assert ended.code == 2
    assert message in ended.err
    assert not (tmp_path / "out").exists()


def test_a_kind_may_lie_in_the_current_folder(cli, toy, tmp_path, monkeypatch):
    text = "from ufgraphfr.algorithms.fedmf import FedMF\n\nclass Mine(FedMF):\n    pass\n"
    (tmp_path / "my_own_kind.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    ended = cli("run", toy, "--set", "algorithm.kind=my_own_kind.Mine")
    assert ended.code == 0, ended.err
    assert "my_own_kind.Mine" in ended.out


def test_ctrl_c_leaves_a_folder_that_goes_on(toy, tmp_path):
    out = tmp_path / "out"
    words = ["run", str(toy), "--out", str(out), "--set", "federation.rounds=100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ufgraphfr", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONFAULTHANDLER": "0"},
    )
    end = time.monotonic() + 60
    while not (out / "checkpoint" / "latest.safetensors").exists() and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    # what the library logs reaches the terminal, without what rich would make of it
    assert "synthetic: 30 users, 60 items, 600 interactions; nothing left out\n" in err
    told = err.splitlines()[-1]
    assert told == f"interrupted; go on with:  ufgraphfr {' '.join(words)} --resume"
    assert not (out / "result.json").exists()


def test_several_seeds_are_several_runs_and_one_row(cli, toy, tmp_path):
    ended = cli("run", toy, "--seeds", "0-1,4", "--out", tmp_path / "own")
    assert ended.code == 0, ended.err
    found = [
        json.loads((tmp_path / f"own-s{n}/result.json").read_text())["seed"] for n in (0, 1, 4)
    ]
    assert found == [0, 1, 4]
    assert "own-s0 (3)" in ended.out
    again = cli("run", toy, "--seeds", "0-1,4", "--out", tmp_path / "own", "--resume")
    assert again.code == 0, again.err


@pytest.mark.parametrize("seeds", ["", "a", "3-1", "1-", "-1", "1.5"])
def test_seeds_are_whole_numbers(cli, toy, seeds):
    assert cli("run", toy, "--seeds", seeds).code == 2
