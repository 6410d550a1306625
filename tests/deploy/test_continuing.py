"""A run goes on from a release: with new users and rows, under one agreement, and never back."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.models import Models
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.server.continuing import begin_next, drift
from ufgraphfr.deploy.server.handshake import TooFewReplies
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.server.releases import Releases
from ufgraphfr.deploy.server.run import run
from ufgraphfr.deploy.wire.message import Envelope, pack, unpack
from ufgraphfr.serve.recommender import Recommender

NODE = NODES[0]
FEDMF = {"kind": "fedmf", "dim": 4, "lr": 0.05}
KINDS = {
    "ufgraphformer": toy_values(),
    "fedmf": toy_values(algorithm=FEDMF),
    "ufgraphfr": toy_values(algorithm={"kind": "ufgraphfr", "dim": 8}),
    "gpfedrec": toy_values(algorithm={"kind": "gpfedrec", "dim": 4}),
    "lightgcn": toy_values(algorithm={"kind": "lightgcn", "dim": 4}),
}
PRIVATE = {
    **{"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "clip": 1.0},
    **{"trust": "shard", "shards": 2},
}


@pytest.fixture
def finished(tmp_path):
    return done(tmp_path, KINDS["fedmf"])


def done(tmp_path, values):
    """A run that is published, of nodes with room for more users than there are."""
    federation = federate(tmp_path / "d", values, spare=5)
    engine = LocalEngine(federation.agents())
    run(federation.folder.server, engine)
    return federation, engine


def bring(federation, tmp_path, name="late", items=(1, 2, 3, 4)):
    """A table of one more user's rows, imported at the first node."""
    path = tmp_path / "rows.csv"
    rows = "".join(f"{name},i{item},{10 + item}\n" for item in items)
    path.write_text("user,item,timestamp\n" + rows)
    return federation.shard(NODE).import_table(path, None)


def go_on(federation, engine):
    begin_next(federation.folder.server)
    run(federation.folder.server, engine)


def participants(federation):
    return Participants.read(federation.folder.server.participants)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_second_run_has_who_came_since_and_makes_the_next_release(kind, tmp_path):
    federation, engine = done(tmp_path, KINDS[kind])
    server = federation.folder.server
    first, before = Releases(server.releases).last(), participants(federation)
    bring(federation, tmp_path)
    go_on(federation, engine)
    second, after = Releases(server.releases).last(), participants(federation)
    assert (second.number, second.parent) == (2, first.digest)
    assert second.run == after.run == f"{before.run}.1"
    late = ShardStore(federation.shard(NODE).database).rows().clients[-1]
    assert set(after.clients[NODE].tolist()) - set(before.clients[NODE].tolist()) == {late}
    assert json.loads((server.run / "result.json").read_text())["data"]["users"] == 31
    assert (server.runs / "1" / "run" / "result.json").exists()
    metrics = read_metrics(server.metrics)
    assert (metrics["state"], metrics["release"], metrics["untold"]) == ("finished", 2, 0)
    assert metrics["replies_rejected"] == 0
    for node in NODES:
        assert Models(federation.shard(node).models).current == 2
    served = Recommender.at_node(federation.shard(NODE))
    assert served.people.trained("late")
    (told,) = drift(server).lines
    assert told.startswith("NDCG@10 on all items 0.")
    assert "of release 1 it was 0." in told
    assert len(served.recommend("late")) == 10
    go_on(federation, engine)
    assert participants(federation).run == f"{before.run}.2"


@pytest.mark.slow
def test_the_transformer_is_trained_on_and_the_graph_counted_anew(tmp_path):
    federation, engine = done(tmp_path, KINDS["ufgraphformer"])
    releases = Releases(federation.folder.server.releases)
    first = releases.memory(releases.last())
    go_on(federation, engine)
    second = releases.memory(releases.last())
    assert 0 < int(first["net.steps"]) < int(second["net.steps"])
    # nobody came: the sums are what they were
    assert torch.equal(first["graph.counts"], second["graph.counts"])


def test_private_weights_go_on_too(finished):
    federation, engine = finished
    store = ShardStore(federation.shard(NODE).database)
    release = Releases(federation.folder.server.releases).last()
    clients = torch.arange(15)
    trained = store.weights(release.run, release.round + 1, clients)
    assert len(trained) == 15
    go_on(federation, engine)
    begun = store.weights(release.next_run, 1, clients)
    for client, own in trained.items():
        assert torch.equal(begun[client]["user"], own["user"])
    # and a release that is taken back finds them as they were
    again = store.weights(release.run, release.round + 1, clients)
    assert all(torch.equal(again[each]["user"], trained[each]["user"]) for each in trained)


def test_who_is_imported_during_a_run_is_in_the_next(tmp_path):
    federation = federate(tmp_path / "d", KINDS["fedmf"], spare=5)
    engine = LocalEngine(federation.agents())
    federation.run(engine, stop_after=1)
    bring(federation, tmp_path)
    run(federation.folder.server, engine)
    result = json.loads((federation.folder.server.run / "result.json").read_text())
    assert result["test"]["full"]["ndcg@10"] >= 0
    metrics = read_metrics(federation.folder.server.metrics)
    assert (metrics["state"], metrics["untold"], metrics["users"]) == ("finished", 0, 30)


def hello(federation, **changes):
    facts = changes.pop("facts", {})
    asked = Envelope("hello", federation.agreement.digest, "x", 0, NODE, "n", facts=facts)
    return unpack(federation.agents()[NODE].answer(pack(Envelope(**{**vars(asked), **changes}))))


def test_no_other_run_is_begun_and_none_a_second_time(finished):
    federation, engine = finished
    first = Releases(federation.folder.server.releases).last()
    here, there = {"continues": first.digest}, {"continues": "0" * 64}
    assert hello(federation, run="other", facts=here).code == "refused"
    assert hello(federation, run=first.next_run).code == "refused"
    assert hello(federation, run=first.next_run, facts=there).code == "refused"
    assert hello(federation, run=first.next_run, kind="train", facts=here).code == "refused"
    go_on(federation, engine)
    assert hello(federation, run=first.next_run, facts=here).code == "ok"
    assert hello(federation, run=first.run).code == "refused"
    assert hello(federation, run=first.run, facts=here).code == "refused"


def test_a_node_that_lacks_the_release_is_named(finished):
    federation, engine = finished
    shutil.rmtree(federation.shard(NODE).models / "1")
    federation.folder.server.settings.write_text("startup_timeout = 0.2\n")
    with pytest.raises(TooFewReplies, match="node-1: the agent answered 'refused'"):
        go_on(federation, engine)


def test_a_guarantee_covers_one_run(tmp_path):
    values = toy_values(algorithm={"kind": "fedmf", "dim": 4}) | {"privacy": PRIVATE}
    federation, _ = done(tmp_path, values)
    with pytest.raises(InputError, match="covers one run, whose budget is spent"):
        begin_next(federation.folder.server)


def test_nothing_is_compared_where_there_is_nothing(finished):
    server = finished[0].folder.server
    assert drift(server).lines == []
    begin_next(server)
    assert drift(server).lines == []


def test_a_run_that_is_not_finished_is_not_gone_on_from(tmp_path):
    federation = federate(tmp_path / "d", KINDS["fedmf"])
    with pytest.raises(InputError, match="no finished and published run to go on from"):
        begin_next(federation.folder.server)


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_kill_while_room_is_made_leaves_something_to_finish(moved, finished, monkeypatch):
    federation, engine = finished
    server, rename, count = federation.folder.server, Path.rename, [moved]

    def killed(path, target):
        if "runs" in str(target):
            if not count[0]:
                raise KeyboardInterrupt
            count[0] -= 1
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            begin_next(server)
    run(server, engine)
    assert Releases(server.releases).last().number == 2
    assert sorted(path.name for path in (server.runs / "1").iterdir()) == [
        "metrics.json",
        "participants.json",
        "run",
    ]
