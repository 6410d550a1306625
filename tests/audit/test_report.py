"""Verdicts, and an audit written and read again."""

import json
import math

import pytest

from ufgraphfr.audit.attacks.base import Finding
from ufgraphfr.audit.report import Audit, Guarantee, judge, read_audit
from ufgraphfr.core.errors import InputError

GUARANTEE = Guarantee(1.0, 1e-5, 0.575)
CLAIM = {"delta": 1e-5, "trust": "server", "parts": {"update": {"rate": None}}}


def finding(value, low=None, view="broadcast", bounded=True, measure="AUC", chance=0.5):
    return Finding(view, measure, value, value if low is None else low, chance, bounded)


@pytest.mark.parametrize(
    ("found", "guarantee", "verdict"),
    [
        (finding(0.57), GUARANTEE, "pass"),
        (finding(0.60, low=0.56), GUARANTEE, "pass"),  # chance may have done that
        (finding(0.60, low=0.58), GUARANTEE, "FAIL"),
        (finding(0.60, low=0.58), None, "partly"),
        (finding(1.0, view="upload"), GUARANTEE, "recovered"),  # the guarantee is on the broadcast
        (finding(1.0, bounded=False), GUARANTEE, "recovered"),
        (finding(0.52), None, "nothing"),
        (finding(0.9, low=0.8, bounded=False, chance=None, measure="epsilon"), GUARANTEE, "pass"),
        (finding(2.0, low=1.1, bounded=False, chance=None, measure="epsilon"), GUARANTEE, "FAIL"),
        (finding(2.0, low=1.1, bounded=False, chance=None, measure="epsilon"), None, "measured"),
        (finding(math.nan), None, "measured"),
    ],
)
def test_verdicts(found, guarantee, verdict):
    assert judge("x", "?", found, guarantee).verdict == verdict


def audit(lines, guarantee=None):
    return Audit(
        "toy", "fedmf", "none", "no privacy guarantee", guarantee, 5, 9, tuple(lines), ("y",)
    )


def test_a_run_without_a_guarantee_is_said_to_have_none():
    line = judge("support", "?", finding(1.0, view="upload"), None)
    text = " ".join(audit([line]).summary())
    assert "no guarantee, so no ceiling" in text
    assert "untrusted server) recovers: support" in text
    assert not audit([line]).failed


def test_a_broken_guarantee_fails_loudly():
    broken = audit([judge("canaries", "?", finding(0.9, low=0.85), GUARANTEE)], GUARANTEE)
    assert broken.failed
    assert any(sentence.startswith("FAIL") for sentence in broken.summary())
    kept = audit([judge("canaries", "?", finding(0.55), GUARANTEE)], GUARANTEE)
    assert not kept.failed
    assert "never a proof" in " ".join(kept.summary())


def test_json_and_page_hold_every_figure():
    lines = [
        judge("support", "what?", finding(1.0, view="upload"), None),
        judge("sign", "which?", finding(math.nan), None),
    ]
    made = audit(lines)
    values = json.loads(made.to_json())
    assert [figure["value"] for figure in values["figures"]] == [1.0, None]
    assert values["failed"] is False
    page = made.to_markdown()
    assert "| support | upload | AUC | 1.000 |" in page
    assert "| sign | broadcast | AUC | - |" in page


def test_a_written_audit_is_read_and_one_of_a_newer_release_refused(tmp_path):
    path = tmp_path / "audit.json"
    path.write_text(audit([judge("support", "?", finding(1.0), GUARANTEE)], GUARANTEE).to_json())
    written = json.loads(path.read_text())
    assert written.pop("schema") == "ufgraphfr-audit-1"
    assert read_audit(path) == written
    assert written["promise"]["ceiling"] == 0.575
    path.write_text(json.dumps(written | {"schema": "ufgraphfr-audit-2"}))
    with pytest.raises(InputError, match=r"audit.json was written by a newer release .*upgrade"):
        read_audit(path)
    path.write_text("{")
    with pytest.raises(InputError, match=r"cannot be read as an audit .*: audit the run"):
        read_audit(path)


@pytest.mark.parametrize(("epsilon", "ceiling"), [(1, 0.575), (2, 0.639), (4, 0.743), (8, 0.881)])
def test_the_ceiling_is_that_of_the_runs_own_epsilon(epsilon, ceiling):
    found = Guarantee.of({"privacy": {**CLAIM, "epsilon": epsilon}})
    assert found is not None
    assert found.ceiling == pytest.approx(ceiling, abs=6e-4)
    assert Guarantee.of({"privacy": None}) is None
