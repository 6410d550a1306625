"""A run leaves a complete folder, and a stopped one goes on as if it had not been stopped."""

import json
from io import StringIO
from itertools import islice

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from ufgraphfr.cli.results import show_result
from ufgraphfr.core.errors import InputError
from ufgraphfr.data.columns import read_parquet
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.population import Simulated
from ufgraphfr.experiment.prepare import prepare
from ufgraphfr.experiment.runner import choose_device
from ufgraphfr.federation.validation.check import RejectedReply

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
    folder = run(toy(protocol=protocol, data={"interactions": 25, "items": 140}))
    assert {path.name for path in folder.iterdir()} == FILES
    result = json.loads((folder / "result.json").read_text())
    assert result["schema"] == "ufgraphfr-result-2"
    assert result["algorithm"] == "fedmf"
    assert result["data"] | {"sha256": "", "digest": ""} == {
        "name": "synthetic",
        "users": 30,
        "items": 140,
        "interactions": 750,
        "sha256": "",
        "digest": "",
        "left_out": {},
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
    # a table of 140 x 4 float32 is sent and sent back
    for cost in ("bytes_up_per_client_round", "bytes_down_per_client_round"):
        assert 140 * 4 * 4 < result[cost] < 140 * 4 * 4 + 600
    assert result["privacy"] is None
    assert set(result["cold"]) == set(result["cold_all"])
    assert set(result["cold"]) == {f"ndcg@10 known={known}" for known in (0, 1, 3, 10)}
    for found in (result, result["baselines"]["popularity"]):
        assert set(found["new_items"]) == {"ndcg@10", "ndcg@10 of chance"}


def test_ranks_of_every_user_explain_the_metrics(toy, run):
    folder = run(toy(data={"items": 120}))
    ranks = read_parquet(folder / "ranks.parquet")
    result = json.loads((folder / "result.json").read_text())
    assert len(ranks["user"]) == 30
    assert np.mean(1 / ranks["full"]) == pytest.approx(result["test"]["full"]["mrr"])
    popularity = result["baselines"]["popularity"]["test"]
    found = np.mean(ranks["popularity.sampled99"] <= 10)
    assert found == pytest.approx(popularity["sampled99"]["hr@10"])


def test_users_with_too_few_rivals_are_left_out_of_one_ranking_and_told(toy, run, caplog):
    # 40 items, of which each has 8
    folder = run(toy())
    result = json.loads((folder / "result.json").read_text())
    assert result["test"]["sampled99"] == {} == result["validation"]["sampled99"]
    assert result["data"]["left_out"] == {"sampled99": 30}
    assert np.isnan(read_parquet(folder / "ranks.parquet")["sampled99"]).all()
    assert "30 users of 30 in the test: fewer than 99 items they never touched" in caplog.text


@pytest.mark.parametrize("kind", ["popularity", "fedmf", "ufgraphfr", "ufgraphformer"])
def test_a_user_with_every_item_stops_nobody(toy, run, tmp_path, caplog, kind):
    shelf = [f"t{item}" for item in range(12)]
    own = {f"u{user}": shelf[user % 4 : user % 4 + 7] for user in range(12)} | {"crawler": shelf}
    rows = "".join(f"{user},{item}\n" for user, items in own.items() for item in items)
    (tmp_path / "loans.csv").write_text(f"user,item\n{rows}")
    table = {"kind": "table", "interactions": str(tmp_path / "loans.csv")}
    folder = run(toy(data=table, algorithm={"kind": kind}, federation={"rounds": 2}))
    result = json.loads((folder / "result.json").read_text())
    assert result["data"]["users"] == 13
    assert result["data"]["left_out"] == {"test": 1, "sampled99": 12}
    assert len(read_parquet(folder / "ranks.parquet")["user"]) == 12
    assert "1 user has all 12 items: nothing is left to rank in the test" in caplog.text


def test_metrics_hold_a_line_for_each_round(toy, run):
    lines = (run(toy(federation={"rounds": 5})) / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert [line["round"] for line in found] == [1, 2, 3, 4, 5]
    # every second round, and the last
    assert [line["validation"] is not None for line in found] == [False, True, False, True, True]
    assert found[-1]["loss"] < found[0]["loss"]


def test_the_environment_is_told(toy, run):
    facts = json.loads((run(toy()) / "environment.json").read_text())
    assert facts["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
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


def test_a_run_in_which_nobodys_reply_is_accepted_fails(toy, run, monkeypatch, caplog):
    def refuse(*_):
        raise RejectedReply("shape")

    monkeypatch.setattr("ufgraphfr.federation.validation.checked_transport.check", refuse)
    with pytest.raises(InputError, match=r"no reply was accepted in any of 4 rounds.*shape"):
        run(toy())
    assert caplog.text.count("replies were rejected (shape)") == 1


def test_rejected_replies_and_bad_losses_are_in_the_result(toy, run, outcome):
    assert outcome(run(toy()))["unsound"] == {
        "rejected": {},
        "loss_not_finite": 0,
        "loss_exploded": 0,
    }


def test_a_baseline_that_fails_costs_its_own_row(toy, run, monkeypatch, caplog):
    def fails(*_):
        raise MemoryError("18 GB\nof which none are there")

    monkeypatch.setattr("ufgraphfr.baselines.ease.Ease.fit", fails)
    values = toy(evaluation={"baselines": ["popularity", "ease"]}, protocol={"cold_users": 0.0})
    folder = run(values)
    result = json.loads((folder / "result.json").read_text())
    assert result["baselines"]["ease"] == {"not_computed": "18 GB"}
    assert result["baselines"]["popularity"]["test"]["full"]["mrr"] > 0
    assert "popularity.full" in read_parquet(folder / "ranks.parquet")
    assert "baseline ease is not computed: 18 GB" in caplog.text
    shown = StringIO()
    show_result(Console(file=shown, width=100), folder / "result.json")
    assert "ease is not computed: 18 GB" in shown.getvalue()


def test_what_a_baseline_cannot_afford_is_told_before_the_first_round(
    toy, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("ufgraphfr.baselines.base.memory_budget", lambda: 40_000)
    training = steps(toy(evaluation={"baselines": ["popularity", "ease"]}), tmp_path / "run")
    next(training)
    assert "this run will have no figures of ease" in caplog.text
    list(training)
    found = json.loads((tmp_path / "run" / "result.json").read_text())["baselines"]
    assert "ease" in found["ease"]["not_computed"]
    assert "test" in found["popularity"]
    with pytest.raises(InputError, match="ease"):
        list(steps(toy(algorithm={"kind": "ease"}), tmp_path / "alone"))
    assert not (tmp_path / "alone").exists()


def test_a_run_is_finished_with_other_baselines(toy, run, tmp_path, outcome):
    values = toy(evaluation={"baselines": ["ease"]})
    list(islice(steps(values, tmp_path / "run"), 3))
    folder = run(toy(evaluation={"baselines": ["popularity"]}), resume=True)
    whole = run(toy(evaluation={"baselines": ["popularity"]}), "whole")
    assert outcome(folder) == outcome(whole)
    assert same_weights(folder, whole)
    assert (folder / "config.toml").read_text() == (whole / "config.toml").read_text()


REFUSED = {
    "budget": {"privacy": {"kind": "central-jdp", "epsilon": 2, "delta": 0.1, "clip": 1.0}},
    "algorithm": {
        "algorithm": {"kind": "ufgraphfr"},
        "privacy": {"kind": "central-jdp", "epsilon": 2, "delta": 1e-4, "clip": 1.0},
    },
    "cohort": {"federation": {"cohort": 31}},
    "poisson": {"federation": {"cohort": 0.01, "sampling": "poisson"}},
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_a_refused_plan_leaves_no_folder_behind(toy, run, tmp_path, change):
    with pytest.raises(InputError):
        run(toy(**change))
    assert not (tmp_path / "run").exists()
    run(toy())


def test_a_failure_after_a_round_keeps_the_folder(toy, run, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr("ufgraphfr.experiment.training._keep", fails)
    with pytest.raises(OSError, match="no space"):
        run(toy())
    monkeypatch.undo()
    assert (tmp_path / "run" / "metrics.jsonl").exists()
    run(toy(), resume=True)


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
