"""``ufgraphfr report``: where the file goes, and what is refused."""

import pytest

from ufgraphfr.experiment import build, execute

VALUES = {
    "data": {"kind": "synthetic", "users": 30, "items": 40, "interactions": 8},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "fedmf", "dim": 4},
    "federation": {"rounds": 2},
}
BUDGET = {"kind": "central-jdp", "epsilon": 4, "delta": 1e-4, "clip": 0.5}


@pytest.fixture
def made(tmp_path):
    def run(name, privacy):
        list(execute(build(VALUES | {"privacy": privacy}), tmp_path / name, device="cpu"))
        return tmp_path / name

    return run


def test_the_page_goes_where_personal_things_lie(cli, made):
    plain, budgeted = made("plain", {"kind": "none"}), made("budgeted", BUDGET)
    told = cli("report", plain)
    assert told.out == f"wrote {plain / 'report.html'}\n"
    assert (plain / "report.html").exists()
    assert cli("report", budgeted).code == 0
    assert (budgeted / "personal" / "report.html").exists()
    assert cli("report", budgeted, "--public").code == 0
    assert "for you" not in (budgeted / "report-public.html").read_text().lower()


def test_several_runs_go_where_it_is_said(cli, made, tmp_path):
    folders = made("one", {"kind": "none"}), made("two", BUDGET)
    assert cli("report", *folders, "--out", tmp_path / "both.html").code == 0
    assert "Comparison" in (tmp_path / "both.html").read_text()


def test_what_is_no_run_or_cannot_be_written_is_one_clear_line(cli, made, tmp_path):
    refused = cli("report", tmp_path)
    assert refused.code == 2
    assert "no run folder" in refused.err
    plain = made("plain", {"kind": "none"})
    refused = cli("report", plain, "--out", plain / "result.json" / "x.html")
    assert refused.code == 2
    assert "name another file" in refused.err
    refused = cli("report", plain, "--public")
    assert "leave out --public" in refused.err


def test_a_run_can_be_watched(cli, toy, tmp_path):
    ended = cli("run", toy, "--out", tmp_path / "out", "--live")
    assert ended.code == 0, ended.err
    assert "report: http://127.0.0.1:" in ended.out
