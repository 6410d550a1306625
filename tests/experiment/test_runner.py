"""A run leaves a complete folder, and a stopped one goes on as if it had not been stopped."""

import json
from itertools import islice

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.columns import read_parquet
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.population import Simulated
from ufgraphfr.experiment.prepare import prepare
from ufgraphfr.experiment.runner import choose_device

FILES = {
    "PERSONAL_DATA.txt",
    "checkpoint",
    "config.toml",
    "environment.json",
    "metrics.jsonl",
    "model.safetensors",
    "ranks.parquet",
    "resolved.toml",
    "result.json",
}
ALGORITHMS = [
    {"kind": "fedmf", "dim": 4},
    {"kind": "local-only", "dim": 8},
    {"kind": "ufgraphfr", "dim": 8},
    {"kind": "ufgraphfr", "dim": 8, "evaluated_table": "local", "graph_every": 2, "hops": 2},
    {"kind": "ufgraphfr", "dim": 8, "as_coded": True},
    # stopped before and after its graph is complete
    {"kind": "ufgraphformer", "dim": 8, "hidden": 8, "history": 5, "graph": {"rounds": 3}},
]


def steps(values, folder, **options):
    return execute(build(values), folder, device="cpu", **options)


def same_weights(one, two):
    return (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()


def test_a_finished_run_is_complete(toy, run):
    protocol = {"cold_users": 0.2, "cold_items": 0.1}
    folder = run(toy(protocol=protocol, data={"interactions": 25, "items": 120}))
    assert {path.name for path in folder.iterdir()} == FILES
    result = json.loads((folder / "result.json").read_text())
    assert result["schema"] == "ufgraphfr-result-2"
    assert result["algorithm"] == "fedmf"
    assert result["data"] | {"sha256": "", "digest": ""} == {
        "name": "synthetic",
        "users": 30,
        "items": 120,
        "interactions": 750,
        "sha256": "",
        "digest": "",
    }
    assert len(result["data"]["sha256"]) == len(result["config_digest"]) == 64
    assert (result["protocol"], result["seed"], result["rounds"]) == ("honest", 3, 4)
    assert result["best_round"] in (2, 4)
    for part in (result["validation"], result["test"], result["baselines"]["popularity"]["test"]):
        for ranking in ("full", "sampled99"):
            for metric in ("hr@10", "ndcg@10", "mrr"):
                assert 0 <= part[ranking][metric] <= 1
    assert set(result["seconds"]) == {"train", "aggregate", "evaluate", "total"}
    parts = ("train", "aggregate", "evaluate")
    assert result["seconds"]["total"] == sum(result["seconds"][part] for part in parts)
    for cost in ("cpu_seconds_per_round", "peak_rss_bytes"):
        assert result[cost] > 0
    # a table of 120 x 4 float32 is sent and sent back
    for cost in ("bytes_up_per_client_round", "bytes_down_per_client_round"):
        assert 120 * 4 * 4 < result[cost] < 120 * 4 * 4 + 600
    assert result["privacy"] is None
    assert set(result["cold"]) == set(result["cold_all"])
    assert set(result["cold"]) == {f"ndcg@10 known={known}" for known in (0, 1, 3, 10)}
    for found in (result, result["baselines"]["popularity"]):
        assert set(found["new_items"]) == {"ndcg@10", "ndcg@10 of chance"}


def test_ranks_of_every_user_explain_the_metrics(toy, run):
    folder = run(toy())
    ranks = read_parquet(folder / "ranks.parquet")
    result = json.loads((folder / "result.json").read_text())
    assert len(ranks["user"]) == 30
    assert np.mean(1 / ranks["full"]) == pytest.approx(result["test"]["full"]["mrr"])
    popularity = result["baselines"]["popularity"]["test"]
    found = np.mean(ranks["popularity.sampled99"] <= 10)
    assert found == pytest.approx(popularity["sampled99"]["hr@10"])


def test_metrics_hold_a_line_for_each_round(toy, run):
    lines = (run(toy(federation={"rounds": 5})) / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert [line["round"] for line in found] == [1, 2, 3, 4, 5]
    # every second round, and the last
    assert [line["validation"] is not None for line in found] == [False, True, False, True, True]
    assert found[-1]["loss"] < found[0]["loss"]


def test_the_environment_is_told(toy, run):
    facts = json.loads((run(toy()) / "environment.json").read_text())
    assert facts["packages"]["torch"] == torch.__version__
    assert facts["device"] == "cpu"
    assert facts["threads"] == torch.get_num_threads()


def test_progress_counts_clients_and_rounds(toy, tmp_path):
    seen = list(steps(toy(federation={"rounds": 2, "cohort": 10}), tmp_path / "run"))
    assert [(step.round, step.rounds, step.clients) for step in seen] == [(1, 2, 10), (2, 2, 10)]
    assert all(step.seconds > 0 and step.loss > 0 for step in seen)


def test_a_finished_folder_is_left_as_it_is(toy, run):
    folder = run(toy())
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="finished"):
        run(toy())
    run(toy(), resume=True)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_bad_data_leave_no_folder_behind(toy, tmp_path):
    values = toy() | {"data": {"kind": "table", "interactions": "none.csv"}}
    with pytest.raises(InputError, match=r"none\.csv"):
        next(steps(values, tmp_path / "run", data_dir=tmp_path))
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_only_with_the_data_it_began_with(toy, tmp_path):
    likes = tmp_path / "likes.csv"
    rows = [f"{user},{(user + step) % 9}" for user in range(12) for step in range(5)]
    likes.write_text("\n".join(("user,item", *rows)))
    data = {"kind": "table", "interactions": "likes.csv", "sequential": True}
    values = toy() | {"data": data}
    begun = steps(values, tmp_path / "run", data_dir=tmp_path)
    next(begun)
    begun.close()
    likes.write_text("\n".join(("user,item", *reversed(rows))))
    with pytest.raises(InputError, match="begun on other data"):
        next(steps(values, tmp_path / "run", data_dir=tmp_path, resume=True))
    likes.write_text("\n".join(("user,item", *rows)))
    assert [s.round for s in steps(values, tmp_path / "run", data_dir=tmp_path, resume=True)]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
def test_resumed_is_uninterrupted_to_the_last_digit(toy, run, tmp_path, everything, algorithm):
    federation = {"rounds": 6, "cohort": 0.5}
    values = toy(federation=federation) | {"algorithm": algorithm}
    whole = run(values, "whole")
    stopped = tmp_path / "stopped"
    for count in (1, 2, 3):
        part = steps(values, stopped, resume=True)
        for _ in range(count):
            next(part)
        part.close()
    rest = [step.round for step in steps(values, stopped, resume=True)]
    assert rest == [5, 6], "rounds up to the checkpoint are not repeated"
    assert everything(stopped) == everything(whole)


@pytest.mark.parametrize("stop", [False, True], ids=["in one go", "resumed after the best"])
def test_the_best_round_is_kept_not_the_last(toy, tmp_path, monkeypatch, stop):
    """Validation rises, stays, and falls; of equals the first is taken."""
    after = {}

    def validate(_population, state, number, **_pick):
        after[number] = {name: value.clone() for name, value in state.items()}
        told = {"ndcg": [0.1, 0.5, 0.5, 0.2][number - 1]}
        return state, {"full": told, "sampled99": {}}

    monkeypatch.setattr(Simulated, "validate", validate)
    values = toy(evaluation={"every": 1, "baselines": []})
    if stop:
        list(islice(steps(values, tmp_path / "run"), 3))
    list(steps(values, tmp_path / "run", resume=True))
    run = Run(tmp_path / "run")
    assert (run.result["best_round"], run.result["rounds"]) == (2, 4)
    assert run.result["validation"]["full"] == {"ndcg": 0.5}
    assert run.checkpoint.round == 2
    for name, value in run.checkpoint.server.items():
        assert torch.equal(value, after[2][name])
    assert not torch.equal(after[2]["items"], after[4]["items"])
    prepared = run.prepared()
    assert evaluate(run.score(prepared), prepared.test).metrics == run.result["test"]


def test_resume_starts_a_folder_that_is_not_there(toy, run, outcome):
    assert outcome(run(toy(), "resumed", resume=True)) == outcome(run(toy(), "started"))


@pytest.mark.parametrize("kind", ["fedmf", "ease"])
def test_a_kill_while_the_result_was_written(toy, run, outcome, kind):
    values = toy() | {"algorithm": {"kind": kind}}
    whole = run(values, "whole")
    late = run(values, "late")
    # the model was in place and the result was not
    (late / "result.json").unlink()
    (late / "ranks.parquet").unlink()
    run(values, "late", resume=True)
    assert outcome(late) == outcome(whole)
    assert same_weights(late, whole)


def test_a_reference_is_evaluated_like_an_algorithm(toy, run):
    baseline = run(toy() | {"algorithm": {"kind": "popularity"}}, "baseline")
    beside = run(toy(), "beside")
    result = json.loads((baseline / "result.json").read_text())
    baseline = json.loads((beside / "result.json").read_text())["baselines"]["popularity"]
    assert (result["test"], result["validation"]) == (baseline["test"], baseline["validation"])
    assert (result["rounds"], result["bytes_up_per_client_round"]) == (0, 0)


@pytest.mark.parametrize("kind", ["fedmf", "local-only", "ufgraphfr"])
@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("federation", {"chunk": 7}),
        ("evaluation", {"chunk": 7}),
        ("federation", {"transport": "loopback", "chunk": 11}),
    ],
    ids=str,
)
def test_chunks_and_transport_do_not_change_what_is_learned(toy, run, kind, table, change):
    values = toy() | {"algorithm": {"kind": kind, "dim": 8}}
    one = run(values, "one")
    values[table] |= change
    two = run(values, "two")
    weights, others = (load_file(folder / "model.safetensors") for folder in (one, two))
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        # off the wire, rows that were touched but did not change are missing
        if value.is_floating_point() and "change." not in name:
            torch.testing.assert_close(others[name], value, atol=1e-5, rtol=0)
    results = [json.loads((f / "result.json").read_text()) for f in (one, two)]
    for ranking, metrics in results[0]["test"].items():
        for name, value in metrics.items():
            assert results[1]["test"][ranking][name] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("sampling", ["fixed", "poisson"])
def test_partial_participation_trains(toy, run, sampling):
    federation = {"rounds": 12, "cohort": 0.03, "sampling": sampling}
    folder = run(toy(federation=federation, evaluation={"every": 1}))
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    clients = [line["clients"] for line in lines]
    if sampling == "fixed":
        assert clients == [1] * 12
        return
    # expected 0.9 clients a round: with this seed, some rounds are empty
    assert 0 in clients
    assert max(clients) > 1
    for line in lines:
        assert (line["loss"] is None) == (line["clients"] == 0)


def test_a_loss_that_is_not_finite_is_told_once(toy, run, caplog):
    # a learning rate this large leaves float32's range
    folder = run(toy(algorithm={"lr": 1e30}))
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len([text for text in warnings if "not finite: try a smaller lr" in text]) == 1
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        assert "NaN" not in line
        assert "Infinity" not in line


def test_devices():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda")
    with pytest.raises(InputError, match=r"--device tpu: choose auto, cpu or cuda"):
        choose_device("tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there():
    with pytest.raises(InputError, match=r"no GPU here; use --device cpu"):
        choose_device("cuda")


@pytest.mark.parametrize("sequential", [True, False])
def test_the_model_knows_whether_order_means_something(toy, tmp_path, sequential):
    rows = [f"{user},{(user + place) % 150}" for user in range(20) for place in range(6)]
    (tmp_path / "rows.csv").write_text("\n".join(["user,item", *rows]))
    data = {"kind": "table", "interactions": "rows.csv", "sequential": sequential}
    experiment = build(toy(data=data, protocol={"cold_users": 0.0, "cold_items": 0.0}))
    assert prepare(experiment, tmp_path).setting.sequential is sequential
