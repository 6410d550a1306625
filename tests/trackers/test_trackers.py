"""Trackers: what each is told, what under a guarantee it is not, and that none can cost a run."""

import json
import sys

import pytest

from ufgraphfr.core.errors import InputError, MissingExtra
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.tracking import scalars
from ufgraphfr.trackers import TRACKERS, Tracker

VALUES = {
    "name": "toy",
    "data": {"kind": "synthetic", "users": 30, "items": 40, "interactions": 8},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "fedmf", "dim": 4},
    "federation": {"rounds": 3},
    "evaluation": {"every": 1},
}
BUDGET = {"kind": "central-jdp", "epsilon": 4, "delta": 1e-4, "clip": 0.5}
TOLD = []


class Listening(Tracker):
    """Keeps what it is told, in order."""

    def begin(self, run):
        TOLD.append(("begin", run))
        return self

    def log(self, round_number, values):
        TOLD.append((round_number, dict(values)))

    def finish(self, values):
        TOLD.append(("finish", dict(values)))


class Broken(Listening):
    """Fails after the first round."""

    def log(self, round_number, values):
        super().log(round_number, values)
        raise OSError("the server is gone")


@pytest.fixture
def run(tmp_path, monkeypatch):
    TOLD.clear()
    module = type(sys)("listening")
    module.Listening, module.Broken = Listening, Broken
    monkeypatch.setitem(sys.modules, "listening", module)

    def made(*trackers, personal=False, **changes):
        table = {"trackers": list(trackers), "track_personal": personal}
        folder = tmp_path / "run"
        return folder, execute(build(VALUES | changes | {"run": table}), folder, device="cpu")

    return made


def test_one_of_your_own_is_told_settings_rounds_and_the_result(run):
    folder, steps = run("listening.Listening")
    list(steps)
    (_, begun), *rounds, (last, result) = TOLD
    assert begun.settings["algorithm.dim"] == 4
    assert begun.first == 1
    assert [number for number, _ in rounds] == [1, 2, 3]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for (_, values), line in zip(rounds, lines, strict=True):
        assert values["validation/full/ndcg@10"] == line["validation"]["full"]["ndcg@10"]
        assert values["loss"] == line["loss"]
    assert last == "finish"
    found = json.loads((folder / "result.json").read_text())
    assert result["test/full/mrr"] == found["test"]["full"]["mrr"]


def test_under_a_guarantee_only_what_may_be_shared_is_told_and_in_the_end(run):
    folder, steps = run("listening.Listening", privacy=BUDGET)
    for _ in steps:
        assert [each for each, _ in TOLD] == ["begin"]
    (_, begun), *rounds, (_, result) = TOLD
    assert begun.place == folder
    shared = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert rounds == [(line["round"], {"clients": line["clients"]}) for line in shared]
    assert result == {"rounds": 3, "best_round": 3}


def test_personal_figures_are_told_where_that_is_asked_for(run):
    folder, steps = run("listening.Listening", privacy=BUDGET, personal=True)
    list(steps)
    (_, begun), (_, first), *_, (_, result) = TOLD
    assert begun.place == folder / "personal"
    assert "validation/full/ndcg" in first
    assert "test/full/ndcg" in result


def test_a_tracker_that_fails_costs_its_own_figures_only(run, caplog):
    folder, steps = run("listening.Broken", "listening.Listening")
    assert len(list(steps)) == 3
    assert (folder / "result.json").exists()
    assert caplog.text.count("tracker listening.Broken is told no more: the server is gone") == 1
    # one round of the broken one, three of the other, and one result
    assert [each for each, _ in TOLD] == ["begin", "begin", 1, 1, 2, 3, "finish"]


def test_a_run_that_ends_early_closes_its_trackers(run):
    _, steps = run("listening.Listening")
    next(steps)
    steps.close()
    assert TOLD[-1] == ("finish", {})


def test_tensorboard_has_every_round_and_the_result(run):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, steps = run("tensorboard")
    list(steps)
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert [each.step for each in events.Scalars("validation/full/ndcg@10")] == [1, 2, 3]
    found = json.loads((folder / "result.json").read_text())
    (told,) = events.Scalars("result/test/full/hr@10")
    assert told.value == pytest.approx(found["test"]["full"]["hr@10"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_one_run_also_when_it_goes_on(run):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    folder, steps = run("mlflow")
    next(steps)
    steps.close()
    list(execute(build(VALUES | {"run": {"trackers": ["mlflow"]}}), folder, resume=True))
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (experiment,) = [e for e in client.search_experiments() if e.name == "ufgraphfr"]
    (told,) = client.search_runs([experiment.experiment_id])
    assert told.info.status == "FINISHED"
    assert told.data.params["algorithm.dim"] == "4"
    steps = client.get_metric_history(told.info.run_id, "validation/full/ndcg_at_10")
    assert [each.step for each in steps] == [1, 2, 3]
    assert "result/test/full/ndcg_at_10" in told.data.metrics


@pytest.mark.parametrize("kind", TRACKERS.kinds)
def test_a_missing_extra_is_said_before_anything_is_written(run, monkeypatch, kind):
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    folder, steps = run(kind)
    with pytest.raises(MissingExtra, match=rf"pip install 'ufgraphfr\[{kind}\]'"):
        list(steps)
    assert not folder.exists()


def test_trackers_decide_nothing_of_a_run():
    tracked = build(VALUES | {"run": {"trackers": ["tensorboard"]}})
    assert tracked.digest == build(VALUES).digest
    with pytest.raises(InputError, match="did you mean 'tensorboard'"):
        build(VALUES | {"run": {"trackers": ["tensorbord"]}})
    with pytest.raises(InputError, match="must be a list"):
        build(VALUES | {"run": {"trackers": "tensorboard"}})


def test_scalars_are_the_finite_numbers():
    found = scalars({"round": 1, "a": {"b": 2, "c": None}, "d": float("nan"), "e": "text"})
    assert found == {"a/b": 2.0}
