"""Under a guarantee the run folder keeps apart what it does not cover, and what is public is equal
whatever one user has."""

import json
import stat

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.compare import compare
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import prepare
from ufgraphfr.serve.recommender import Recommender

PRIVATE = {"kind": "central-jdp", "epsilon": 4, "delta": 1e-4, "clip": 0.5}
POISSON = {"rounds": 3, "cohort": 0.5, "sampling": "poisson"}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def shared_files(folder):
    return [path for path in folder.iterdir() if path.is_file()]


@pytest.mark.slow
def test_no_size_of_a_secret_cohort_is_in_what_may_be_shared(toy, tmp_path):
    values = toy(privacy=PRIVATE, federation=POISSON, evaluation={"every": 1})
    steps = list(execute(build(values), tmp_path / "run", device="cpu"))
    assert [step.clients for step in steps] == [None] * 3
    for line in lines(tmp_path / "run" / "metrics.jsonl"):
        assert line["clients"] == 15
        told = {key for key, value in line.items() if value is not None}
        assert told == {"schema", "round", "clients"}
    exact = [line["clients"] for line in lines(tmp_path / "run" / "personal" / "metrics.jsonl")]
    assert exact != [15] * 3


def test_secret_coins_and_an_untrusted_server_do_not_go_together(toy):
    privacy = PRIVATE | {"trust": "shard", "shards": 2}
    with pytest.raises(InputError, match='"poisson" hides who takes part'):
        build(toy(privacy=privacy, federation=POISSON))


def test_a_model_that_sees_everybodys_rows_has_no_guarantee(toy):
    with pytest.raises(InputError, match="popularity is fitted to everybody's rows"):
        build(toy(privacy=PRIVATE, algorithm={"kind": "popularity"}))


def test_no_count_digest_or_metric_is_in_what_may_be_shared(toy, run):
    values = toy(privacy=PRIVATE)
    folder, data = run(values), prepare(build(values)).dataset
    result = json.loads((folder / "result.json").read_text())
    assert {key for key, value in result["data"].items() if value is not None} == {
        "name",
        "items",
        "digest",
    }
    metric = ("test", "validation", "standard_errors", "baselines", "seconds", "unsound")
    assert all(result[key] is None for key in metric)
    for path in shared_files(folder):
        content = path.read_bytes()
        assert data.sha256.encode() not in content, path
        assert data.digest.partition(":")[2].encode() not in content, path
    assert (folder / "personal" / "ranks.parquet").exists()
    assert not (folder / "ranks.parquet").exists()


def test_the_key_of_a_digest_is_the_runs_own_and_its_owners_alone(toy, run):
    values = toy(privacy=PRIVATE)
    folders = [run(values, name) for name in ("a", "b")]
    digests = {Run(folder).result["data"]["digest"] for folder in folders}
    assert len(digests) == 1
    keyed = [json.loads((f / "result.json").read_text())["data"]["digest"] for f in folders]
    # equal ones would say that nobody's data have changed between two runs
    assert keyed[0] != keyed[1]
    for folder in folders:
        assert stat.S_IMODE((folder / "personal").stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "personal" / "key").stat().st_mode) == 0o600


def test_a_run_is_read_whole_where_its_personal_folder_is(toy, run):
    folder = run(toy(privacy=PRIVATE))
    found = Run(folder)
    assert found.result["test"]["full"]["ndcg@10"] >= 0
    assert found.result["data"]["users"] == 30
    assert found.metrics[-1]["validation"] is not None
    assert found.checkpoint.server
    assert found.checkpoint.private
    assert not (folder / "personal" / "checkpoint" / "best.safetensors").exists()
    recommender = Recommender.open(folder)
    assert len(recommender.recommend(recommender.people.served()[0], 5)) == 5
    (row,) = compare([folder])
    assert row.mean["full"]["ndcg@10"] == found.result["test"]["full"]["ndcg@10"]


def test_what_was_shared_alone_says_what_it_lacks(toy, run, tmp_path):
    folder = run(toy(privacy=PRIVATE))
    (folder / "personal").rename(tmp_path / "kept")
    assert Run(folder).checkpoint.private == {}
    with pytest.raises(InputError, match="name the run folder with personal/ in it"):
        Recommender.open(folder)


def test_other_data_are_refused_by_their_keyed_digest(toy, tmp_path):
    values = toy(privacy=PRIVATE)
    steps = execute(build(values), tmp_path / "run", device="cpu")
    next(steps)
    steps.close()
    environment = tmp_path / "run" / "environment.json"
    facts = json.loads(environment.read_text())
    environment.write_text(json.dumps(facts | {"data_keyed": "hmac-sha256:of others"}))
    with pytest.raises(InputError, match="was begun on other data"):
        next(execute(build(values), tmp_path / "run", resume=True, device="cpu"))
    environment.write_text(json.dumps(facts))
    assert len(list(execute(build(values), tmp_path / "run", resume=True, device="cpu"))) == 3


def test_a_run_begun_by_an_older_release_goes_on_with_its_files_set_apart(toy, run, tmp_path):
    """0.2 had checkpoints, ranks and metrics beside what may be shared, and plain digests."""
    values = toy(privacy=PRIVATE)
    steps = execute(build(values), tmp_path / "run", device="cpu")
    list(zip(range(2), steps, strict=False))
    steps.close()
    old, apart = tmp_path / "run", tmp_path / "run" / "personal"
    for name in ("checkpoint", "metrics.jsonl"):
        (apart / name).rename(old / name) if name == "checkpoint" else (apart / name).replace(
            old / name
        )
    for path in apart.iterdir():
        path.unlink()
    apart.rmdir()
    facts = json.loads((old / "environment.json").read_text())
    dataset = prepare(build(values)).dataset
    del facts["data_keyed"]
    facts |= {"data_sha256": dataset.sha256, "data_digest": dataset.digest}
    (old / "environment.json").write_text(json.dumps(facts))
    run(values, resume=True)
    assert not (old / "checkpoint").exists()
    assert [line["round"] for line in Run(old).metrics] == [1, 2, 3, 4]
    assert dataset.sha256 not in (old / "environment.json").read_text()
