"""Nothing public depends on a user but by a release; and what does so is listed by name."""

import json
import shutil

import pytest

from ufgraphfr.algorithms.fedmf import FedMF
from ufgraphfr.audit.noninterference import interference
from ufgraphfr.audit.run import audit
from ufgraphfr.core.messages import Task
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.privacy.accounted.gaussian import NoisedSums

COMMON = {
    "seed": 3,
    "data": {"kind": "synthetic", "users": 30, "items": 40, "interactions": 10},
    "text": {"kind": "hashing", "width": 16},
    "privacy": {"kind": "central-jdp", "epsilon": 4, "delta": 1e-4},
}
ALONE = {"algorithm": {"kind": "ufgraphformer"}}
FEDMF = {"algorithm": {"kind": "fedmf", "dim": 4}, "federation": {"rounds": 2}}
GRAPH = {"graph_items": 9, "graph_share": 0.5}
RUNS = {
    "flagship": {"algorithm": {"kind": "ufgraphformer", "private": GRAPH}},
    "popularity alone": ALONE,
    "fedmf, adaptive clip": FEDMF,
    "fedncf": {
        "algorithm": {"kind": "fedncf", "dim": 4},
        "federation": {"rounds": 2, "cohort": 0.5},
        "privacy": COMMON["privacy"] | {"clip": 0.5},
    },
    "devices": {**ALONE, "privacy": {"kind": "ldp", "epsilon": 8, "delta": 1e-5}},
}


def found(values):
    experiment = build(COMMON | values)
    return interference(experiment, experiment.located_source().load())


@pytest.mark.parametrize("values", RUNS.values(), ids=RUNS)
def test_nothing_public_depends_on_a_user_but_by_a_release(values):
    seen = found(values)
    assert seen.public == ()
    # the change was there to be seen; what was read is said to whoever runs it
    assert seen.personal
    assert any(line.startswith("prepare.py:") for line in seen.logged)


def test_a_sum_that_goes_round_the_mechanism_is_listed_by_name(monkeypatch):
    kept, noised, aggregate = {}, NoisedSums.noised, FedMF.aggregate

    def peeked(self, report, key):
        kept[key.round] = report.sums["items"].float()
        return noised(self, report, key)

    def kept_too(self, state, report):
        return aggregate(self, state, report) | {"raw": kept[report.round]}

    monkeypatch.setattr(NoisedSums, "noised", peeked)
    monkeypatch.setattr(FedMF, "aggregate", kept_too)
    assert set(found(FEDMF).public) == {
        "round 2 broadcasts raw",
        "model.safetensors: server/raw",
        "personal/checkpoint/latest.safetensors: server/raw",
    }


def test_what_is_worked_out_from_profiles_is_listed_by_name(monkeypatch):
    texts, chunks, broadcast = [], Simulation.chunks, FedMF.broadcast

    def seen(self, cohort, number):
        texts.append(self.batch.own_text.mean(0))
        return chunks(self, cohort, number)

    def with_anchors(self, state, clients, number):
        task = broadcast(self, state, clients, number)
        anchors = texts[-1] if texts else state["items"][0]
        return Task(number, clients, task.shared | {"anchors": anchors}, {})

    monkeypatch.setattr(Simulation, "chunks", seen)
    monkeypatch.setattr(FedMF, "broadcast", with_anchors)
    assert "round 2 broadcasts anchors" in found(FEDMF).public


def test_an_exact_count_in_a_shared_file_is_listed_and_fails_an_audit(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    list(execute(build(COMMON | ALONE), folder, device="cpu"))
    done = audit(folder, ("noninterference",), rounds=1, victims=2)
    assert [line.verdict for line in done.lines] == ["pass"]
    assert "no evidence against" in " ".join(done.summary())
    honest = RunFolder.write_result

    def told(self, result):
        honest(self, result)
        shared = json.loads(self.result.read_text())
        shared["data"]["interactions"] = result["data"]["interactions"]
        self.write_json(self.result, shared)

    monkeypatch.setattr(RunFolder, "write_result", told)
    failed = audit(folder, ("noninterference",), rounds=1, victims=2)
    assert failed.failed
    assert "result.json: data.interactions" in failed.lines[0].finding.note


def test_without_a_guarantee_there_is_nothing_to_hold_it_against(finished, tmp_path):
    shutil.copytree(finished("fedmf"), tmp_path / "run")
    done = audit(tmp_path / "run", ("noninterference",), rounds=1, victims=2)
    assert not done.lines
    assert "everything depends on everybody" in done.skipped[0]
