"""A server that is killed after a validation goes on, also if the model is another one then."""

import json

import pytest
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.settings import ServerSettings

HALF = ServerSettings(round_timeout=5.0, quorum=0.5, startup_timeout=0.1)


class Killed(BaseException):
    """In place of a signal."""


@pytest.mark.parametrize("every", [2, 4])
@pytest.mark.parametrize("algorithm", [{"kind": "fedmf", "dim": 4}, {"kind": "ufgraphformer"}])
def test_another_model_has_no_metrics_and_the_run_ends(algorithm, every, tmp_path, monkeypatch):
    values = toy_values(algorithm=algorithm, evaluation={"every": every})
    federation = federate(tmp_path / "d", values)
    agents = federation.agents()
    with monkeypatch.context() as patch:

        def killed(done, *_):
            if done.number == every:
                raise Killed
            return kept(done, *_)

        from ufgraphfr.experiment import training

        kept = training._keep
        patch.setattr(training, "_keep", killed)
        with pytest.raises(Killed):
            federation.run(LocalEngine(agents), HALF)
    # the other node is away: the round has another sum, and so another model
    out = federation.run(LocalEngine({NODES[0]: agents[NODES[0]]}), HALF)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["round"] for line in lines] == [1, 2, 3, 4]
    assert lines[every - 1]["validation"] is None
    assert read_metrics(federation.folder.server.metrics)["untold"] == 1
    assert (out / "result.json").exists()
    assert json.loads((out / "result.json").read_text())["test"]["full"]["hr@10"] >= 0
