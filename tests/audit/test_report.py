"""Verdicts, and an audit written and read again."""

import json
import math

import pytest

from ufgraphfr.audit.attacks.base import Finding
from ufgraphfr.audit.report import Audit, Promise, judged

PROMISE = Promise(1.0, 1e-5, 0.575)
CLAIM = {"delta": 1e-5, "trust": "server", "parts": {"update": {"rate": None}}}


def finding(value, low=None, view="broadcast", bounded=True, measure="AUC", chance=0.5):
    return Finding(view, measure, value, value if low is None else low, chance, bounded)


@pytest.mark.parametrize(
    ("found", "promise", "verdict"),
    [
        (finding(0.57), PROMISE, "pass"),
        (finding(0.60, low=0.56), PROMISE, "pass"),  # chance may have done that
        (finding(0.60, low=0.58), PROMISE, "FAIL"),
        (finding(0.60, low=0.58), None, "partly"),
        (finding(1.0, view="upload"), PROMISE, "recovered"),  # the promise is on the broadcast
        (finding(1.0, bounded=False), PROMISE, "recovered"),
        (finding(0.52), None, "nothing"),
        (finding(0.9, low=0.8, bounded=False, chance=None, measure="epsilon"), PROMISE, "pass"),
        (finding(2.0, low=1.1, bounded=False, chance=None, measure="epsilon"), PROMISE, "FAIL"),
        (finding(2.0, low=1.1, bounded=False, chance=None, measure="epsilon"), None, "measured"),
        (finding(math.nan), None, "measured"),
    ],
)
def test_verdicts(found, promise, verdict):
    assert judged("x", "?", found, promise).verdict == verdict


def audit(lines, promise=None):
    return Audit(
        "toy", "fedmf", "none", "no privacy guarantee", promise, 5, 9, tuple(lines), ("y",)
    )


def test_a_run_without_a_guarantee_is_said_to_have_none():
    line = judged("support", "?", finding(1.0, view="upload"), None)
    text = " ".join(audit([line]).summary())
    assert "no guarantee, so no ceiling" in text
    assert "untrusted server) recovers: support" in text
    assert not audit([line]).failed


def test_a_broken_promise_fails_loudly():
    broken = audit([judged("canaries", "?", finding(0.9, low=0.85), PROMISE)], PROMISE)
    assert broken.failed
    assert any(sentence.startswith("FAIL") for sentence in broken.summary())
    kept = audit([judged("canaries", "?", finding(0.55), PROMISE)], PROMISE)
    assert not kept.failed
    assert "never a proof" in " ".join(kept.summary())


def test_json_and_page_hold_every_figure():
    lines = [
        judged("support", "what?", finding(1.0, view="upload"), None),
        judged("sign", "which?", finding(math.nan), None),
    ]
    made = audit(lines)
    values = json.loads(made.to_json())
    assert [figure["value"] for figure in values["figures"]] == [1.0, None]
    assert values["failed"] is False
    page = made.to_markdown()
    assert "| support | upload | AUC | 1.000 |" in page
    assert "| sign | broadcast | AUC | - |" in page


@pytest.mark.parametrize(("epsilon", "ceiling"), [(1, 0.575), (2, 0.639), (4, 0.743), (8, 0.881)])
def test_the_ceiling_is_that_of_the_runs_own_epsilon(epsilon, ceiling):
    found = Promise.of({"privacy": {**CLAIM, "epsilon": epsilon}})
    assert found is not None
    assert found.ceiling == pytest.approx(ceiling, abs=6e-4)
    assert Promise.of({"privacy": None}) is None
