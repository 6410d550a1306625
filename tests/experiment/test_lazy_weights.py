"""Of many clients only those who took part have weights: the same run, and what is kept of it."""

import json

import numpy as np
import pytest

from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.checkpoint import load_checkpoint
from ufgraphfr.federation.private_state import CLIENTS

EVERYBODY = 30


@pytest.mark.parametrize("algorithm", ["fedmf", "pfedrec", "ufgraphfr"])
def test_a_run_of_many_is_the_run_of_few(toy, run, monkeypatch, algorithm):
    """As far as a matrix product of some rows is that of all of them."""
    values = toy(federation={"rounds": 4, "cohort": 6}) | {"algorithm": {"kind": algorithm}}
    few = json.loads((run(values, "few") / "result.json").read_text())
    monkeypatch.setattr("ufgraphfr.federation.private_state.MANY", 0)
    monkeypatch.setattr("ufgraphfr.experiment.population.MANY", 0)
    many = json.loads((run(values, "many") / "result.json").read_text())
    for part in ("test", "validation"):
        for ranking, expected in few[part].items():
            assert many[part][ranking] == pytest.approx(expected, abs=1e-6)


def test_of_many_a_resumed_run_is_uninterrupted(toy, run, tmp_path, monkeypatch, everything):
    monkeypatch.setattr("ufgraphfr.federation.private_state.MANY", 0)
    monkeypatch.setattr("ufgraphfr.experiment.population.MANY", 0)
    values = toy(federation={"rounds": 4, "cohort": 6}) | {"algorithm": {"kind": "pfedrec"}}
    whole = run(values, "whole")
    stopped = tmp_path / "stopped"
    steps = execute(build(values), stopped, device="cpu")
    for _ in range(3):
        next(steps)
    steps.close()
    kept = load_checkpoint(stopped / "checkpoint" / "latest.safetensors", "cpu").private
    assert 6 <= len(kept[CLIENTS]) <= 12 < EVERYBODY
    assert {len(value) for value in kept.values()} == {len(kept[CLIENTS])}
    run(values, "stopped", resume=True)
    assert everything(stopped) == everything(whole)
    assert np.isfinite(json.loads((whole / "result.json").read_text())["test"]["full"]["ndcg@10"])
