"""``ufgraphfr audit`` in this process."""

import json

from ufgraphfr.audit import run as audit_run
from ufgraphfr.audit.report import Guarantee


def test_audit_prints_and_writes(cli, toy, tmp_path):
    folder = tmp_path / "run"
    assert cli("run", toy, "--out", folder, "--quiet").code == 0
    ended = cli("audit", folder, "--rounds", 2, "--victims", 4, "--attack", "sign")
    assert ended.code == 0, ended.err
    assert "sign, upload" in ended.out
    assert "recovers: sign" in ended.out
    assert "no guarantee, so no ceiling" in ended.out
    assert json.loads((folder / "audit.json").read_text())["figures"]


def test_a_broken_promise_ends_with_one(cli, toy, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    cli("run", toy, "--out", folder, "--quiet")
    # the run has no noise, so it cannot keep this promise
    monkeypatch.setattr(audit_run.Guarantee, "of", lambda _: Guarantee(1.0, 1e-5, 0.575))
    ended = cli("audit", folder, "--rounds", 2, "--attack", "canaries")
    assert ended.code == 1
    assert "FAIL" in ended.out


def test_attacks_are_listed_and_a_wrong_one_is_refused(cli, tmp_path):
    assert "held-out" in cli("audit", "--help").out.replace("\n", " ")
    ended = cli("audit", tmp_path, "--attack", "magic")
    assert ended.code == 2
    assert "no attack 'magic'" in ended.err
