"""A run stays what it was: when a key is added or renamed, a default changes, a folder is moved."""

import json
import shutil
import sys
import tomllib
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from version_1 import as_version_1

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.columns import read_parquet, write_parquet
from ufgraphfr.experiment import build, execute, read, training
from ufgraphfr.experiment.compare import compare
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import same_data
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.serve.recommender import Recommender

FEDMF = """
from ufgraphfr.algorithms.fedmf import FedMF as Shipped
class FedMF(Shipped):
    {keys}
"""
KIND = "lasting_algorithm.FedMF"


@pytest.fixture
def algorithm(tmp_path, monkeypatch):
    """Writes the module of an outside algorithm with some keys; it is imported anew."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(keys: str = "pass") -> None:
        (tmp_path / "lasting_algorithm.py").write_text(FEDMF.format(keys=keys))
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        sys.modules.pop("lasting_algorithm", None)

    yield write
    sys.modules.pop("lasting_algorithm", None)


@pytest.fixture
def values(toy):
    def own(**changes):
        return toy() | {"algorithm": {"kind": KIND, "dim": 4, "lr": 0.05}} | changes

    return own


def finished(values, folder, resume=False):
    list(execute(build(values), folder, resume=resume, device="cpu"))
    return folder


@pytest.mark.parametrize("version", [1, 2])
def test_a_key_that_is_added_changes_nothing(algorithm, values, tmp_path, version, outcome):
    algorithm()
    whole = finished(values(), tmp_path / "whole")
    stopped = tmp_path / "stopped"
    list(islice(execute(build(values()), stopped, device="cpu"), 2))
    if version == 1:
        for folder in (whole, stopped):
            as_version_1(folder, build(values()))
    algorithm("added: int = 7")
    assert build(values()).model.added == 7
    finished(values(), stopped, resume=True)
    assert outcome(stopped)["test"] == Run(whole).result["test"]
    other = finished(values(seed=4), tmp_path / "other")
    (row,) = compare([whole, other])
    assert row.seeds == (3, 4)
    assert len(Recommender.open(whole).recommend("u3", 5)) == 5
    changed = values(algorithm=values()["algorithm"] | {"added": 8})
    with pytest.raises(InputError, match=r"algorithm\.added is 7 there, 8 here"):
        finished(changed, whole, resume=True)


def test_a_default_that_changes_does_not_change_an_old_run(algorithm, values, tmp_path):
    algorithm("own: int = 7")
    folder = finished(values(), tmp_path / "run")
    algorithm("own: int = 9")
    assert Run(folder).experiment.model.own == 7
    with pytest.raises(InputError, match=r"algorithm\.own is 7 there, 9 here"):
        finished(values(), folder, resume=True)
    explicit = values(algorithm=values()["algorithm"] | {"own": 7})
    finished(explicit, folder, resume=True)


def test_what_is_set_to_its_default_is_not_another_setting(toy, tmp_path):
    folder = finished(toy(), tmp_path / "run")
    finished(toy(algorithm={"negatives": 4}, protocol={"cold_users": 0.0}), folder, resume=True)
    assert "negatives" not in tomllib.loads((folder / "config.toml").read_text())["algorithm"]
    assert tomllib.loads((folder / "resolved.toml").read_text())["algorithm"]["negatives"] == 4


def test_a_renamed_key_is_the_same_key(toy, tmp_path):
    folder = finished(toy(), tmp_path / "run")
    old = toy()
    old["evaluation"]["yardsticks"] = old["evaluation"].pop("baselines")
    with pytest.warns(DeprecationWarning, match="yardsticks is called baselines now"):
        finished(old, folder, resume=True)


def test_a_run_of_the_first_version_is_read(toy, tmp_path):
    new, old = finished(toy(), tmp_path / "new"), finished(toy(), tmp_path / "old")
    as_version_1(old, build(toy()))
    assert "schema" not in json.loads((old / "metrics.jsonl").read_text().splitlines()[0])
    one, other = Run(new), Run(old)
    assert other.experiment == one.experiment
    assert other.experiment.digest == one.experiment.digest
    assert other.result.keys() == one.result.keys()
    for key in ("test", "baselines", "new_items", "best_round"):
        assert other.result[key] == one.result[key]
    assert [line["validation"] for line in other.metrics] == [
        line["validation"] for line in one.metrics
    ]
    assert other.ranks.keys() == one.ranks.keys()
    assert np.array_equal(other.ranks["full"], one.ranks["full"])
    assert other.checkpoint.round == one.checkpoint.round


def test_a_run_of_a_model_that_is_no_more_is_compared_by_its_results(toy, tmp_path):
    folders = [finished(toy(seed=seed), tmp_path / f"s{seed}") for seed in (3, 4)]
    for folder, seed in zip(folders, (3, 4), strict=True):
        as_version_1(folder, build(toy(seed=seed)))
        config = tomllib.loads((folder / "config.toml").read_text())
        config["algorithm"]["gone"] = 1
        (folder / "config.toml").write_text(tomli_w.dumps(config))
    new = finished(toy(seed=3), tmp_path / "new")
    first, second = compare([*folders, new])
    assert (first.seeds, second.seeds) == ((3, 4), (3,))
    assert second.not_compared == ""
    with pytest.raises(InputError, match=r"\[algorithm\] has no key 'gone'"):
        Recommender.open(folders[0])


@pytest.fixture
def project(tmp_path):
    """A folder with a table, the experiment's file beside it, and a run below."""
    folder = tmp_path / "ann" / "work"
    folder.mkdir(parents=True)
    rows = [f"u{user},i{(user * 7 + step * 3) % 30}" for user in range(20) for step in range(8)]
    (folder / "loans.csv").write_text("\n".join(("user,item", *rows)))
    settings = {
        "data": {"kind": "table", "interactions": "loans.csv"},
        "text": {"kind": "hashing"},
        "algorithm": {"kind": "fedmf", "dim": 4},
        "federation": {"rounds": 2},
    }
    (folder / "mine.toml").write_text(tomli_w.dumps(settings))
    list(execute(read(folder / "mine.toml"), folder / "runs" / "s0", device="cpu"))
    return folder


def test_a_run_is_known_by_a_link_to_it(project, tmp_path):
    (tmp_path / "serving").mkdir()
    now = tmp_path / "serving" / "now"
    now.symlink_to(project / "runs" / "s0")
    assert Recommender.open(now).recommend("u1", 1)
    # and where the runs lie behind a link
    large = tmp_path / "disk" / "large" / "runs"
    large.mkdir(parents=True)
    (project / "linked").symlink_to(large)
    list(execute(read(project / "mine.toml", seed=2), project / "linked" / "s2", device="cpu"))
    assert Recommender.open(project / "linked" / "s2").recommend("u1", 1)


@pytest.mark.parametrize("version", [1, 2])
def test_a_folder_that_is_moved_is_the_same_run(project, tmp_path, version):
    moved = tmp_path / "bob" / "work"
    assert str(tmp_path) not in (project / "runs" / "s0" / "config.toml").read_text()
    if version == 1:
        as_version_1(project / "runs" / "s0", read(project / "mine.toml"))
        assert str(project) in (project / "runs" / "s0" / "config.toml").read_text()
    shutil.copytree(project, moved)
    list(execute(read(moved / "mine.toml", seed=1), moved / "runs" / "s1", device="cpu"))
    (row,) = compare([project / "runs" / "s0", moved / "runs" / "s1"])
    assert row.seeds == (0, 1)
    shutil.rmtree(project)
    assert Recommender.open(moved / "runs" / "s0", moved).recommend("u1", 1)
    list(execute(read(moved / "mine.toml"), moved / "runs" / "s0", resume=True, device="cpu"))
    if version == 2:
        # the experiment's folder is known as seen from the run
        assert Recommender.open(moved / "runs" / "s0").recommend("u1", 1)


def test_other_data_under_the_same_name_are_no_other_seed(project):
    table = project / "loans.csv"
    table.write_text("\n".join((*table.read_text().splitlines(), "u0,i29")))
    list(execute(read(project / "mine.toml", seed=1), project / "runs" / "s1", device="cpu"))
    rows = compare([project / "runs" / "s0", project / "runs" / "s1"])
    assert [row.not_compared for row in rows] == ["first", "other data"]


def test_files_of_a_later_version_are_refused(toy, tmp_path):
    folder = finished(toy(), tmp_path / "run")
    files, later = RunFolder(folder), "was written by a newer release"

    def refused(read, path: Path, text: str) -> None:
        before = path.read_bytes()
        path.write_text(text)
        with pytest.raises(InputError, match=f"{path.name} {later}"):
            read()
        path.write_bytes(before)

    refused(files.experiment, files.config, files.config.read_text().replace("= 2", "= 3", 1))
    refused(
        lambda: Run(folder).result,
        files.result,
        files.result.read_text().replace("result-2", "result-3"),
    )
    lines = files.metrics.read_text().replace("metrics-2", "metrics-3")
    refused(lambda: Run(folder).metrics, files.metrics, lines)
    columns = read_parquet(files.ranks)
    write_parquet(files.ranks, columns | {"schema": columns["schema"] + 1})
    with pytest.raises(InputError, match=later):
        _ = Run(folder).ranks
    bytes_of_3 = files.model.read_bytes().replace(b"checkpoint-2", b"checkpoint-3")
    files.model.write_bytes(bytes_of_3)
    with pytest.raises(InputError, match=later):
        _ = Run(folder).checkpoint


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"sha256": "i"}, {"sha256": "i", "digest": "2:a"}, True),
        ({"sha256": "j"}, {"sha256": "i", "digest": "2:a"}, False),
        ({"sha256": "i", "digest": "2:a"}, {"sha256": "i", "digest": "2:a"}, True),
        ({"sha256": "i", "digest": "2:b"}, {"sha256": "i", "digest": "2:a"}, False),
        ({"sha256": "i", "digest": "2:b"}, {"sha256": "i", "digest": "3:c"}, True),
    ],
)
def test_data_are_the_same_as_far_as_both_sides_say(one, other, same):
    assert same_data(one, other) == same
    assert same_data(other, one) == same


@pytest.mark.parametrize("version", [1, 2])
def test_a_table_of_an_older_release_keeps_the_order_of_its_file(project, version):
    folder = project / "runs" / "s0"
    if version == 1:
        as_version_1(folder, read(project / "mine.toml"))
    path = folder / ("config.toml" if version == 1 else "resolved.toml")
    values = tomllib.loads(path.read_text())
    del values["data"]["file_order"]
    values["data"]["sequential"] = True
    path.write_text(tomli_w.dumps(values))
    source = RunFolder(folder).experiment().source
    assert (source.file_order, source.sequential) == (True, True)
    today = read(project / "mine.toml").source
    assert (today.file_order, today.sequential) == (False, "auto")


def test_a_long_stretch_without_validation_is_not_lost(toy, tmp_path, monkeypatch):
    lazy = toy(federation={"rounds": 6}, evaluation={"every": 6})
    finished(lazy, tmp_path / "whole")
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    steps = execute(build(lazy), tmp_path / "cut", device="cpu")
    assert [next(steps).round for _ in range(3)] == [1, 2, 3]
    steps.close()
    again = execute(build(lazy), tmp_path / "cut", resume=True, device="cpu")
    assert [step.round for step in again] == [4, 5, 6]
    results = [Run(tmp_path / name).result["test"] for name in ("whole", "cut")]
    assert results[0] == results[1]
