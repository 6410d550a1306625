"""A release against the one before and popularity: for people, for Prometheus, to publish."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.baselines.popularity import Popularity
from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.models import Models
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agent.users import read_users
from ufgraphfr.deploy.agreement.chain import read_agreement
from ufgraphfr.deploy.operations import launcher
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.init import draft_tryout, write
from ufgraphfr.deploy.server.continuing import GAUGES, begin_next, drift
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.run import run
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.evaluation.protocol import EvaluationSet
from ufgraphfr.experiment import build

NODE = NODES[0]
VALUES = toy_values(
    algorithm={"kind": "fedmf", "dim": 4, "lr": 0.05},
    evaluation={"baselines": ["popularity", "ease"]},
)
PRIVATE = {
    **{"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "clip": 1.0},
    **{"trust": "shard", "shards": 2},
}


@pytest.fixture
def finished(tmp_path):
    federation = federate(tmp_path / "d", VALUES, spare=5)
    engine = LocalEngine(federation.agents())
    run(federation.folder.server, engine)
    return federation, engine


def popularity_of(federation):
    """NDCG@10 of popularity, counted and ranked at each node by itself, over all users."""
    ranks = []
    for node in NODES:
        store = ShardStore(federation.shard(node).database)
        agreement = read_agreement(federation.folder.server.agreement)
        users = read_users(store, agreement, federation.catalogue, agreement.root[:16])
        asked = EvaluationSet.of(users.batch, users.split, "test")
        found = evaluate(partial(Popularity().score, Popularity().fit(users.batch)), asked)
        ranks += found.full.tolist()
    ranks = torch.tensor(ranks)
    return float(torch.where(ranks <= 10, 1 / torch.log2(ranks + 1), 0.0).mean())


def test_popularity_at_each_node_is_told_beside_the_model(finished):
    federation, engine = finished
    server = federation.folder.server
    assert read_agreement(server.agreement).experiment.evaluation.baselines == ("popularity",)
    found, expected = drift(server), popularity_of(federation)
    assert found.popularity == pytest.approx(expected, abs=1e-6)
    (said,) = found.lines
    assert f"of popularity at each node {expected:.4f}" in said
    text = (server.path / "metrics.prom").read_text()
    assert f"ufgraphfr_test_popularity_ndcg10 {found.popularity}\n" in text
    assert f"ufgraphfr_test_ndcg10 {found.now}\n" in text
    assert "before" not in text
    # while the next run is under way the last figures hold
    begin_next(server)
    seen = []

    def looked(_node, _number, chunks):
        seen.append({name: read_metrics(server.metrics).get(name) for name in GAUGES})
        return [chunks]

    engine.changed = looked
    run(server, engine)
    assert seen[0] == dict(zip(GAUGES, (found.now, None, found.popularity), strict=True))
    assert read_metrics(server.metrics)["test_before_ndcg10"] == found.now
    assert len(drift(server).lines) == 2


def test_a_server_of_the_release_before_gets_what_it_knows(tmp_path, monkeypatch):
    monkeypatch.setattr("ufgraphfr.deploy.server.evaluation.POPULARITY", "unheard of")
    federation = federate(tmp_path / "d", VALUES)
    run(federation.folder.server, LocalEngine(federation.agents()))
    assert drift(federation.folder.server).now is not None
    assert drift(federation.folder.server).popularity is None


@pytest.mark.parametrize("figures", [(0.2, 0.1, None), (0.1, 0.1, 0.0), (0.2, 0.1, 0.3)])
def test_a_model_is_published_if_it_does_better_or_by_a_person(figures, finished, monkeypatch):
    federation, engine = finished
    server = federation.folder.server
    now, last, popularity = figures
    better = popularity is None

    def tested(path, baseline=None):
        return (popularity if baseline else now) if path == server.run else last

    monkeypatch.setattr("ufgraphfr.deploy.server.continuing._tested", tested)
    monkeypatch.setattr("ufgraphfr.deploy.operations.launcher._begin", lambda _: None)
    monkeypatch.setattr("ufgraphfr.deploy.operations.launcher.register", lambda _: None)
    with pytest.raises(InputError, match="goes with --continue"):
        launcher.submit(federation.folder, if_better=True)
    launcher.submit(federation.folder, again=True, if_better=True)
    run(server, engine)
    metrics = read_metrics(server.metrics)
    assert metrics["state"] == "finished"
    assert Models(federation.shard(NODE).models).current == 1 + int(better)
    if better:
        assert "withheld" not in metrics
        return
    why = (
        "is 0.1000, and of release 1 it was 0.1000"
        if now == last
        else "is 0.2000, and of popularity at each node 0.3000"
    )
    assert why in metrics["withheld"]
    with pytest.raises(InputError, match="was not published, since it did not do better"):
        begin_next(server)
    launcher.publish(federation.folder)
    run(server, engine)
    assert read_metrics(server.metrics)["release"] == 2
    assert Models(federation.shard(NODE).models).current == 2
    assert begin_next(server).number == 2


def test_nobody_knows_what_does_better_without_metrics(tmp_path):
    values = VALUES | {"privacy": PRIVATE}
    federation = federate(tmp_path / "d", values)
    agreement = replace(federation.agreement, metrics="none")
    agreement.write(federation.folder.server.agreement)
    with pytest.raises(InputError, match="no metrics leave the nodes"):
        launcher.submit(federation.folder, again=True, if_better=True)


@pytest.mark.parametrize("metrics", ["sums", "none"])
def test_the_timer_asks_for_a_better_model_where_metrics_leave(metrics, tmp_path):
    folder = Deployment(tmp_path / "d")
    values = VALUES | {"privacy": PRIVATE}
    write(folder, draft_tryout(build(values), 2, folder, metrics=metrics), ServerSettings())
    unit = (folder.path / "systemd" / "ufgraphfr-continue.service").read_text()
    assert ("--continue --if-better\n" in unit) == (metrics == "sums")
