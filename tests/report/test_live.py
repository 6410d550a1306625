"""The report while a run trains: on this machine alone, made anew when it is asked for."""

import json
import urllib.error
import urllib.request

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment import build, execute
from ufgraphfr.report.live import live_report

VALUES = {
    "data": {"kind": "synthetic", "users": 30, "items": 40, "interactions": 8},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "fedmf", "dim": 4},
    "federation": {"rounds": 3},
    "evaluation": {"every": 1},
}


def got(address, **headers):
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
        return answer.read().decode()


def test_it_grows_with_the_run_and_then_stays(tmp_path):
    folder = tmp_path / "run"
    with live_report(folder) as address:
        assert address.startswith("http://127.0.0.1:")
        assert "Nothing to show yet" in got(address)
        for step in execute(build(VALUES), folder, device="cpu"):
            page = got(address)
            assert f"{step.round} of 3 rounds are done" in page
            assert 'http-equiv="refresh"' in page
        page = got(address)
        assert 'http-equiv="refresh"' not in page
        result = json.loads((folder / "result.json").read_text())
        assert f"{result['test']['full']['mrr']:.3f}" in page
    with pytest.raises(urllib.error.URLError):
        got(address)


def test_nothing_else_is_served_and_no_other_site_may_ask(tmp_path):
    with live_report(tmp_path / "run") as address:
        for path in ("personal/result.json", "../run/result.json", "?x"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                got(address + path)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            got(address, Host="rebound.example")


def test_a_port_that_is_taken_is_one_clear_line(tmp_path):
    with live_report(tmp_path) as address:
        port = int(address.rstrip("/").rpartition(":")[2])
        with pytest.raises(InputError, match="name another"), live_report(tmp_path, port=port):
            pass
