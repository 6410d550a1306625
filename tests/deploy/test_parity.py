"""Same seed, no noise: a deployment gives what the simulation gives, also after a kill."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_federation import LocalEngine, federate, toy_values

from ufgraphfr.experiment import build, execute

# without items that tie but for rounding, which on some processors depends on how many clients are
# one product: as many as a node has, or as a simulation takes at once
UNTIED = {"users": 40, "interactions": 9}
CASES = {
    "ufgraphformer": {},
    "ufgraphformer, several targets": {"protocol": {"targets": 2}},
    "fedmf, other metrics": {
        "algorithm": {"kind": "fedmf", "dim": 4},
        "evaluation": {"metrics": ["auc", "map@3"]},
    },
    "ufgraphformer, clipped": {"federation": {"upload": {"clip": 0.05}}},
    "fedmf": {"algorithm": {"kind": "fedmf", "dim": 4, "lr": 0.05}},
    "fedrecon": {"algorithm": {"kind": "fedrecon", "dim": 4}},
    "pfedrec": {"algorithm": {"kind": "pfedrec", "dim": 4}},
    "gpfedrec": {"algorithm": {"kind": "gpfedrec", "dim": 4}},
    "ufgraphfr": {"algorithm": {"kind": "ufgraphfr", "dim": 8}},
    "graph-filter": {
        "algorithm": {"kind": "graph-filter", "rank": 6, "operator": {"rounds": 2}},
        "data": UNTIED,
    },
    "graph-filter-fusion": {
        "algorithm": {"kind": "graph-filter-fusion", "ranks": [3, 6], "operator": {"rounds": 2}},
        "data": UNTIED,
    },
    "lightgcn": {"algorithm": {"kind": "lightgcn", "dim": 4, "operator": {"rounds": 1}}},
}


def simulate(values: dict[str, Any], out: Path) -> dict[str, Any]:
    for _ in execute(build(values), out, device="cpu"):
        pass
    found: dict[str, Any] = json.loads((out / "result.json").read_text())
    return found


def compared(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert other["best_round"] == one["best_round"]
    for part in ("validation", "test"):
        for ranking, metrics in other[part].items():
            for name, value in metrics.items():
                assert value == pytest.approx(one[part][ranking][name], abs=1e-9), (part, name)
    if one["blend"] is None:
        assert other["blend"] is None
        return
    assert other["blend"]["chosen"] == one["blend"]["chosen"]
    for own, there in zip(one["blend"]["parts"], other["blend"]["parts"], strict=True):
        assert there == pytest.approx(own, abs=1e-4)


@pytest.mark.parametrize("kind", CASES)
def test_a_deployment_gives_what_the_simulation_gives(kind, tmp_path):
    values = toy_values(**CASES[kind])
    expected = simulate(values, tmp_path / "simulated")
    federation = federate(tmp_path / "deployed", values)
    out = federation.run(LocalEngine(federation.agents()))
    found = json.loads((out / "result.json").read_text())
    compared(expected, found)
    assert found["test"]["full"].keys() == expected["test"]["full"].keys()
    assert not (out / "ranks.parquet").exists()


@pytest.mark.parametrize("kind", ["ufgraphformer", "ufgraphfr"])
def test_a_server_that_was_killed_goes_on_to_the_same_result(kind, tmp_path):
    values = toy_values(**CASES[kind])
    expected = simulate(values, tmp_path / "simulated")
    federation = federate(tmp_path / "deployed", values)
    federation.run(LocalEngine(federation.agents()), stop_after=1)
    checkpoint = federation.folder.server.run / "checkpoint" / "latest.safetensors"
    before = checkpoint.read_bytes()
    federation.run(LocalEngine(federation.agents()), stop_after=1)
    # killed after the agents had trained for round 2, before its checkpoint
    checkpoint.write_bytes(before)
    engine = LocalEngine(federation.agents())
    out = federation.run(engine)
    compared(expected, json.loads((out / "result.json").read_text()))


def test_what_takes_counts_of_single_items_is_not_computed_and_named(tmp_path, caplog):
    metrics = ["auc", "gini", "coverage@10", "coverage@5"]
    federation = federate(tmp_path, toy_values(evaluation={"metrics": metrics}))
    out = federation.run(LocalEngine(federation.agents()))
    found = json.loads((out / "result.json").read_text())["test"]["full"]
    assert {"auc", "coverage@10"} <= found.keys()
    assert not {"gini@10", "coverage@5"} & found.keys()
    assert "not computed: gini@10, coverage@5; that takes how often" in caplog.text
