"""What rounds do, as people are told."""

from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.phase import phase_of

VALUES = {
    "data": {"kind": "synthetic", "users": 40, "items": 40, "interactions": 8},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "ufgraphformer", "dim": 4},
    "federation": {"rounds": 12, "cohort": 10},
    "evaluation": {"every": 12},
}


def test_the_flagship_collects_and_then_trains(tmp_path):
    steps = list(execute(build(VALUES), tmp_path / "run", device="cpu"))
    phases = [(step.phase, step.phase_end) for step in steps]
    first = phases[0][1]
    assert 1 <= first < 12
    assert phases[:first] == [("collecting the graph from everybody", first)] * first
    assert phases[first:] == [("", 12)] * (12 - first)


def test_under_a_budget_a_round_is_named_by_its_part(tmp_path):
    privacy = {"kind": "central-jdp", "epsilon": 8, "delta": 1e-4}
    values = VALUES | {"privacy": privacy, "federation": {}}
    steps = list(execute(build(values), tmp_path / "run", device="cpu"))
    assert steps[0].phase == "collecting popularity"
    assert steps[0].phase_end == 1


def test_what_asks_a_cohort_trains():
    assert phase_of(build(VALUES | {"algorithm": {"kind": "fedmf"}}).model, 1, 9, False) == ("", 9)
