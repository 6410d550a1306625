"""``ufgraphfr tune``: what people see."""

import pytest

SPACE = """
[tune]
trials = 2
[tune.search.algorithm]
lr = { low = 0.01, high = 1.0, log = true }
"""


@pytest.mark.slow
def test_trials_are_shown_and_the_best_is_named(cli, toy, tmp_path):
    toy.write_text(toy.read_text() + SPACE)
    ended = cli("tune", toy, "--out", tmp_path / "out", "--trials", 3)
    assert ended.code == 0, ended.err
    lines = [line for line in ended.out.splitlines() if line.startswith("trial ")]
    assert len(lines) == 3
    assert "trial 1/3  val NDCG 0." in lines[0]
    assert "algorithm.lr=0.1" in lines[0]
    assert (tmp_path / "out" / "tune.html").exists()
    *_, last = ended.out.rstrip().splitlines()
    assert last.split() == ["ufgraphfr", "run", str(tmp_path / "out" / "best.toml")]
    assert cli("run", tmp_path / "out" / "best.toml", "--out", tmp_path / "best").code == 0


def test_without_a_space_the_message_shows_one(cli, toy):
    ended = cli("tune", toy)
    assert ended.code == 2
    assert "[tune.search.algorithm] lr =" in ended.err
