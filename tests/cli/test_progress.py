"""The live line and the plain lines of a run."""

import io
import math
import time

import pytest
import torch
from rich.console import Console

from ufgraphfr.cli import progress
from ufgraphfr.cli.progress import lines, watch
from ufgraphfr.evaluation.steps import STEPS, counted
from ufgraphfr.experiment.training import Progress

ROUNDS = 100


def steps(first=1, last=ROUNDS):
    for number in range(first, last + 1):
        evaluated = number % 5 == 0
        validation = {"full": {"ndcg@10": number / 1000}} if evaluated else None
        yield Progress(number, ROUNDS, 12345, 0.5, 2.0, validation)


def screen(width, terminal):
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    return console, console.file


def test_a_line_tells_round_loss_validation_speed_and_time_left():
    found = list(lines(steps()))
    assert found[0].text == (
        "round   1/100  loss 0.5000  val NDCG@10 -  6,172 clients/s  ETA 0:03:18"
    )
    assert found[6].text == (
        "round   7/100  loss 0.5000  val NDCG@10 0.0050  6,172 clients/s  ETA 0:03:06"
    )
    assert [line.evaluated for line in found[:5]] == [False] * 4 + [True]
    assert max(len(line.text) for line in found) <= 78, "with its spinner it fits 80 columns"


def test_speed_counts_only_what_this_process_did():
    (line, *_) = lines(steps(first=91))
    assert "6,172 clients/s  ETA 0:00:18" in line.text


def test_a_round_without_clients_is_shown():
    (line,) = lines(iter([Progress(1, 1, 0, math.nan, 0.0, None)]))
    assert "loss -" in line.text
    assert "0.0 clients/s" in line.text


def phased():
    for number in range(1, 5):
        yield Progress(number, 100, 9, 0.0, 3.0, None, {}, "collecting the graph", 4)
    yield Progress(5, 100, 9, 0.5, 1.0, None, {}, "", 100)


def test_a_phase_says_what_it_does_and_has_a_time_of_its_own():
    first, *_, last, training = lines(phased())
    assert first.text == "round   1/100  collecting the graph  ETA 0:00:09 until round 4"
    assert [first.begins, last.begins] == [True, False]
    assert last.text.endswith("ETA 0:00:00 until round 4")
    assert training.text.endswith("ETA 0:01:35")
    assert "loss 0.5000" in training.text


def test_a_log_says_when_such_a_phase_begins():
    console, file = screen(80, terminal=False)
    watch(console, phased())
    assert [line[:11] for line in file.getvalue().splitlines()] == ["round   1/1"]


def test_a_terminal_shows_how_far_an_evaluation_is():
    console, file = screen(120, terminal=True)

    def evaluating():
        for _ in counted(torch.arange(40), 10):
            time.sleep(0.11)
        yield from steps(last=1)

    before = list(STEPS.handlers), STEPS.level
    watch(console, evaluating())
    assert "ranking users: 20 of 40" in file.getvalue()
    assert (STEPS.handlers, STEPS.level) == before


def test_plain_lines_elsewhere_than_on_a_terminal():
    console, file = screen(40, terminal=False)
    watch(console, steps())
    written = file.getvalue().splitlines()
    assert written == [line.text for line in lines(steps()) if line.evaluated]


def test_a_log_is_never_silent_for_long(monkeypatch):
    monkeypatch.setattr(progress, "SILENT_SECONDS", 0.0)
    console, file = screen(40, terminal=False)
    watch(console, steps())
    assert len(file.getvalue().splitlines()) == ROUNDS


def test_time_left_is_told_from_the_latest_rounds():
    slow = [Progress(number, 1000, 1, 0.5, 60.0, None) for number in range(1, 9)]
    fast = [Progress(number, 1000, 1, 0.5, 0.1, None) for number in range(9, 101)]
    *_, last = lines(iter(slow + fast))
    assert last.text.endswith("ETA 0:01:30")


@pytest.mark.parametrize("width", [80, 120])
def test_a_live_line_on_a_terminal(width):
    console, file = screen(width, terminal=True)
    watch(console, steps())
    written = file.getvalue()
    assert "loading data and texts" in written
    assert "round 100/100 done; testing" in written
    for line in lines(steps()):
        assert not line.evaluated or line.text in written
    assert ("━" in written) == (width >= 100)


def test_a_validation_that_asks_nobody_is_no_number():
    (line,) = lines(iter([Progress(1, 1, 5, 0.5, 1.0, {"full": {}})]))
    assert "val NDCG@10 -  " in line.text
