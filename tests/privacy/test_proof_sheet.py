"""The proof sheet: each field of a guarantee has a row, and what a row names exists."""

import importlib
import re
from pathlib import Path

import pytest

import ufgraphfr
from ufgraphfr.experiment import build, execute
from ufgraphfr.privacy.accounted.ledger import Ledger

PAGE = Path(__file__).parents[2] / "docs" / "proof-sheet.md"
TEXT = PAGE.read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(ufgraphfr(?:\.\w+)+)`", TEXT)))
ROWS = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", TEXT, re.MULTILINE))


def found(name):
    """What a dotted name stands for."""
    words = name.split(".")
    for length in range(len(words), 0, -1):
        try:
            value = importlib.import_module(".".join(words[:length]))
        except ModuleNotFoundError:
            continue
        for word in words[length:]:
            value = getattr(value, word)
        return value
    raise AttributeError(name)


@pytest.mark.parametrize("name", NAMED)
def test_what_the_sheet_names_exists_and_can_be_called(name):
    assert callable(found(name))


@pytest.mark.parametrize(
    "privacy", [{"kind": "central-jdp", "delta": 1e-4, "clip": 0.5}, {"kind": "ldp"}]
)
def test_every_field_of_a_claim_has_a_row_that_names_who_enforces_it(privacy, tmp_path):
    values = {
        "data": {"kind": "synthetic", "users": 30, "items": 40, "interactions": 8},
        "text": {"kind": "hashing", "width": 16},
        "algorithm": {"kind": "ufgraphformer"},
        "federation": {"rounds": 1},
        "privacy": {**privacy, "epsilon": 1.0},
    }
    list(execute(build(values), tmp_path / "run", device="cpu"))
    guarantee = Ledger(tmp_path / "run" / "ledger.jsonl").guarantee
    fields = set(guarantee).union(*guarantee["parts"].values())
    assert fields == set(ROWS)
    assert all(re.search(r"`ufgraphfr\.", row) for row in ROWS.values())


def test_the_sheet_is_that_of_this_release():
    assert f"Of version {ufgraphfr.__version__}." in TEXT


def test_the_samplers_share_of_delta_is_none():
    (row,) = [line for line in TEXT.splitlines() if "rounded_gaussian.draw" in line]
    assert row.endswith("| 0 |")
