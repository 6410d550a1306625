"""Runs on the same data spend together, and a folder that was put back spends nothing twice."""

import json
import shutil
from itertools import islice

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.registry import Registry

PRIVATE = {"kind": "central-jdp", "epsilon": 4, "delta": 1e-4, "clip": 0.5}
TABLE = {"kind": "table", "interactions": "rows.csv"}


def test_another_seed_on_the_same_data_spends_again_and_is_told(toy, run, caplog):
    run(toy(privacy=PRIVATE), "first")
    assert "spends again" not in caplog.text
    run({**toy(privacy=PRIVATE), "seed": 4}, "second")
    assert "each run on the same data spends again: with this one epsilon = " in caplog.text
    assert "in 2 runs" in caplog.text
    caplog.clear()
    run(toy(privacy=PRIVATE, data={"users": 31}), "others")
    assert "spends again" not in caplog.text


@pytest.mark.parametrize("most", [4.0, 30.0])
def test_a_run_that_would_spend_more_than_all_may_is_refused(toy, run, tmp_path, most):
    limited = PRIVATE | {"total_epsilon": most}
    run(toy(privacy=limited), "first")
    values = {**toy(privacy=limited), "seed": 4}
    if most == 4:
        with pytest.raises(InputError, match=r"total_epsilon = 4, but with this run .* 2 runs"):
            run(values, "second")
        assert not (tmp_path / "second").exists()
    else:
        run(values, "second")


def test_what_others_may_spend_makes_it_no_other_experiment(toy, tmp_path):
    steps = execute(build(toy(privacy=PRIVATE)), tmp_path / "run", device="cpu")
    list(islice(steps, 2))
    steps.close()
    limited = build(toy(privacy=PRIVATE | {"total_epsilon": 9.0}))
    assert len(list(execute(limited, tmp_path / "run", resume=True, device="cpu"))) >= 2


@pytest.mark.parametrize("grown", [False, True], ids=["copied", "grown"])
def test_a_table_is_known_by_its_content_and_by_its_place(toy, tmp_path, caplog, grown):
    rows = [f"u{user},i{(user * 7 + k * k) % 19}" for user in range(20) for k in range(6)]
    table = "user,item\n" + "\n".join(dict.fromkeys(rows))
    (tmp_path / "rows.csv").write_text(table)
    values = {**toy(privacy=PRIVATE | {"delta": 1e-3}), "data": TABLE}

    def go(folder, name):
        list(execute(build(values), tmp_path / name, data_dir=folder, device="cpu"))

    go(tmp_path, "first")
    (tmp_path / "copy").mkdir()
    if grown:
        (tmp_path / "rows.csv").write_text(f"{table}\nu1,i18\n")
    else:
        (tmp_path / "rows.csv").rename(tmp_path / "copy" / "rows.csv")
    go(tmp_path if grown else tmp_path / "copy", "second")
    assert "in 2 runs" in caplog.text


def test_a_folder_that_was_put_back_releases_nothing_again(toy, tmp_path):
    values, folder = toy(privacy=PRIVATE), tmp_path / "run"
    steps = execute(build(values), folder, device="cpu")
    next(steps)
    shutil.copytree(folder, tmp_path / "copy")
    list(steps)
    shutil.rmtree(folder)
    (tmp_path / "copy").rename(folder)
    with pytest.raises(InputError, match="an older copy of the folder was put back"):
        list(execute(build(values), folder, resume=True, device="cpu"))
    assert len(Ledger(folder / "ledger.jsonl").spends) == 1


def test_a_payment_without_a_note_is_noted(toy, tmp_path, monkeypatch, registry_folder):
    def killed(*_):
        raise KeyboardInterrupt

    values, folder = toy(privacy=PRIVATE), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "note", killed)
        with pytest.raises(KeyboardInterrupt):
            list(execute(build(values), folder, device="cpu"))
    assert not (registry_folder / "registry.jsonl").exists()
    next(execute(build(values), folder, resume=True, device="cpu"))
    lines = (registry_folder / "registry.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["entries"] == 2


def test_the_result_names_the_ledger_that_it_was_made_with(toy, run):
    folder = run(toy(privacy=PRIVATE))
    ledger = Ledger(folder / "ledger.jsonl")
    assert Run(folder).result["ledger"] == ledger.head == {"entries": 5, "sha256": ledger._last}
    assert RunFolder(folder).read_ledger().guarantee == ledger.guarantee
    # the very same guarantee, with one release less
    lines = (folder / "ledger.jsonl").read_text().splitlines(keepends=True)
    (folder / "ledger.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match=r"is not the one that result\.json was written with"):
        RunFolder(folder).read_ledger()
