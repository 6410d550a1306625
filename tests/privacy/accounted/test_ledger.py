"""The ledger pays first, pays once, and notices what was done to it, also after a kill."""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ufgraphfr.core.errors import InputError
from ufgraphfr.privacy.accounted.ledger import BudgetSpent, Ledger

CLAIM = {"epsilon": 1.0, "parts": {"update": {"releases": 3}, "graph": {"releases": 1}}}

SPENDER = """
import os, signal, sys
from pathlib import Path
from ufgraphfr.privacy.accounted.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
ledger.declare({"epsilon": 1.0, "parts": {"update": {"releases": 1}}})
ledger.spend("update", ledger.last_round + 1, clip=1.0)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def promised(path: Path | None) -> Ledger:
    ledger = Ledger(path)
    ledger.declare(CLAIM)
    return ledger


def test_a_line_that_the_disk_has_no_room_for_leaves_nothing_behind(path: Path) -> None:
    ledger = promised(path)
    ledger.spend("update", 1)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            ledger.spend("update", 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    ledger.spend("update", 2)
    assert [spend["round"] for spend in Ledger(path).spends] == [1, 2]


def test_what_is_spent_is_on_the_disk_and_read_again(path: Path) -> None:
    ledger = promised(path)
    ledger.spend("update", 1, clip=0.5)
    ledger.spend("graph", 4, clip=1.0)
    again = Ledger(path)
    assert again.guarantee == CLAIM
    assert again.spends == [
        {"part": "update", "round": 1, "clip": 0.5},
        {"part": "graph", "round": 4, "clip": 1.0},
    ]
    assert again.last_round == 4


@given(rounds=st.lists(st.integers(1, 6), max_size=8))
def test_no_round_is_paid_twice_and_no_more_than_promised(rounds: list[int]) -> None:
    ledger = promised(None)
    for number in rounds:
        try:
            ledger.spend("update", number)
        except BudgetSpent:
            continue
    paid = [spend["round"] for spend in ledger.spends]
    assert paid == sorted(set(paid))
    assert len(paid) <= 3


def test_a_spent_part_stays_spent_after_a_restart(path: Path) -> None:
    promised(path).spend("graph", 1)
    ledger = promised(path)
    with pytest.raises(BudgetSpent, match="the budget of 'graph' is spent"):
        ledger.spend("graph", 2)
    with pytest.raises(BudgetSpent, match="round 1 has been paid for"):
        ledger.spend("update", 1)
    with pytest.raises(BudgetSpent, match="the budget of 'other' is spent: 0"):
        ledger.spend("other", 2)
    assert len(Ledger(path).spends) == 1


def test_nothing_is_spent_without_a_promise_and_no_promise_is_changed(path: Path) -> None:
    with pytest.raises(BudgetSpent, match="nothing was promised"):
        Ledger(None).spend("update", 1)
    ledger = promised(path)
    ledger.declare(CLAIM)
    with pytest.raises(InputError, match=r"promises something else \(epsilon\)"):
        Ledger(path).declare({**CLAIM, "epsilon": 2.0})
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize("change", ["edit", "remove", "insert", "scramble"])
def test_an_altered_line_is_noticed(path: Path, change: str) -> None:
    ledger = promised(path)
    for number in (1, 2, 3):
        ledger.spend("update", number)
    lines = path.read_text().splitlines()
    if change == "edit":
        lines[1] = lines[1].replace('"round": 1', '"round": 0')
    elif change == "remove":
        del lines[2]
    elif change == "insert":
        lines.insert(2, json.dumps({"spend": {}, "previous": "0" * 64}))
    else:
        lines[2] = "{"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="has been altered"):
        Ledger(path)


def test_a_line_cut_short_by_a_kill_was_never_paid(path: Path) -> None:
    ledger = promised(path)
    ledger.spend("update", 1)
    whole = path.read_bytes()
    ledger.spend("update", 2)
    path.write_bytes(path.read_bytes()[:-9])
    again = Ledger(path)
    assert again.last_round == 1
    assert path.read_bytes() == whole
    again.spend("update", 2)
    assert Ledger(path).last_round == 2


@pytest.mark.slow
def test_killed_right_after_paying_the_payment_stands(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SPENDER, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert Ledger(path).last_round == 1
    again = subprocess.run(
        [sys.executable, "-c", SPENDER, str(path)], capture_output=True, check=False
    )
    assert b"BudgetSpent" in again.stderr
    assert len(Ledger(path).spends) == 1
