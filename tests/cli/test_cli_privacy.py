"""``ufgraphfr privacy`` tells what a run promised."""

import json

import pytest

PRIVATE = ("kind=central-jdp", "epsilon=2", "delta=1e-4", "clip=0.5")
SETTINGS = tuple(word for setting in PRIVATE for word in ("--set", f"privacy.{setting}"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("UFGRAPHFR_CACHE", str(tmp_path / "cache"))


def test_it_adds_up_all_runs_on_the_same_data(cli, toy, tmp_path) -> None:
    for seed in (1, 2):
        ran = cli("run", toy, "--out", tmp_path / str(seed), "--seed", seed, *SETTINGS)
        assert ran.code == 0
        assert "in 2 runs" not in (tmp_path / str(seed) / "privacy.md").read_text()
    shown = cli("privacy", tmp_path / "1")
    assert "All runs: epsilon = 2.9" in shown.out
    assert "in 2 runs on this machine" in shown.out
    more = ("--set", "privacy.total_epsilon=3", "--seed", 3)
    ended = cli("run", toy, "--out", tmp_path / "3", *SETTINGS, *more)
    assert ended.code == 2
    assert "total_epsilon = 3" in ended.err
    assert not (tmp_path / "3").exists()


def test_an_altered_claim_is_not_printed(cli, toy, tmp_path) -> None:
    cli("run", toy, "--out", tmp_path / "run", *SETTINGS)
    ledger = tmp_path / "run" / "ledger.jsonl"
    first, *rest = ledger.read_text().splitlines(keepends=True)
    entry = json.loads(first)
    entry["claim"]["epsilon"] = 0.1
    # the last line is chained to nothing that comes after it
    (tmp_path / "run" / "result.json").unlink()
    ledger.write_text(json.dumps(entry, sort_keys=True) + "\n")
    ended = cli("privacy", tmp_path / "run")
    assert ended.code == 2
    assert "epsilon = 0.1 is claimed, where its noise gives 2" in ended.err
    assert not ended.out
    ledger.write_text("".join((first, *rest[:-1])))
    (tmp_path / "run" / "result.json").write_text('{"ledger": {"entries": 5, "sha256": "00"}}')
    ended = cli("privacy", tmp_path / "run")
    assert ended.code == 2
    assert "not the one that result.json was written with" in ended.err


def test_it_prints_the_page_of_the_run(cli, toy, tmp_path) -> None:
    folder = tmp_path / "run"
    private = ("--set", "privacy.kind=central-jdp", "--set", "privacy.epsilon=2")
    more = ("--set", "privacy.delta=1e-4", "--set", "privacy.clip=0.5")
    ran = cli("run", toy, "--out", folder, *private, *more)
    assert ran.code == 0
    assert "(2, 1e-04)-joint differential privacy" in ran.out.replace("\n", " ")
    shown = cli("privacy", folder)
    assert shown.code == 0
    assert shown.out == (folder / "privacy.md").read_text()
    assert "epsilon = 2, delta = 1e-04" in shown.out


def test_without_a_guarantee_it_says_so(cli, toy, tmp_path) -> None:
    cli("run", toy, "--out", tmp_path / "run")
    shown = cli("privacy", tmp_path / "run")
    assert "No privacy guarantee" in shown.out
    assert "epsilon" not in shown.out


def test_a_folder_that_is_no_run_is_named(cli, tmp_path) -> None:
    ended = cli("privacy", tmp_path)
    assert ended.code == 2
    assert "is no run folder" in ended.err
