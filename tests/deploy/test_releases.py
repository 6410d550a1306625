"""A model is published when its run ends: once to each node, by digest, and nothing else."""

import json
from dataclasses import replace

import pytest
import torch
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.models import KEPT, SHARED, Models
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.releases import Releases
from ufgraphfr.deploy.server.run import run
from ufgraphfr.deploy.wire.message import Malformed, pack, unpack
from ufgraphfr.deploy.wire.release import MAX_ARRAYS, MAX_TEXT, Release

NODE = NODES[0]
FEDMF = {"kind": "fedmf", "dim": 4, "lr": 0.05}
PRIVATE = {
    **{"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "clip": 1.0},
    **{"trust": "shard", "shards": 2},
}
KINDS = {
    "flagship": toy_values(),
    "fedmf": toy_values(algorithm=FEDMF),
    "tables of each client's own": toy_values(algorithm={"kind": "ufgraphfr", "dim": 8}),
    "with a guarantee": toy_values(algorithm={"kind": "fedmf", "dim": 4}) | {"privacy": PRIVATE},
}


def models(federation, node=NODE):
    return Models(federation.shard(node).models)


def published(engine):
    asked = [unpack(chunks) for _, chunks in engine.asked]
    return [each for each in asked if each.kind == "publish"]


def done(tmp_path, values):
    federation = federate(tmp_path / "d", values)
    engine = LocalEngine(federation.agents())
    run(federation.folder.server, engine)
    return federation, engine


@pytest.fixture
def finished(tmp_path):
    return done(tmp_path, KINDS["fedmf"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_node_has_the_model_of_the_best_round_when_a_run_ends(kind, tmp_path):
    federation, engine = done(tmp_path, KINDS[kind])
    release = Releases(federation.folder.server.releases).last()
    result = json.loads((federation.folder.server.run / "result.json").read_text())
    assert (release.number, release.round, release.parent) == (1, result["best_round"], "")
    assert release.agreement == federation.agreement.digest
    assert release.guarantee == result["guarantee"]
    assert [models(federation, node).release(1).digest for node in NODES] == [release.digest] * 2
    assert len(published(engine)) == len(NODES)
    metrics = read_metrics(federation.folder.server.metrics)
    assert (metrics["state"], metrics["release"], metrics["unpublished"]) == ("finished", 1, [])


def test_a_node_that_was_away_gets_the_same_release_later(finished):
    federation, engine = finished
    agents, first = dict(engine.agents), models(federation).release(1)
    for path in federation.shard(NODES[1]).models.glob("*/*"):
        path.unlink()
    for path in federation.shard(NODES[1]).models.glob("*"):
        path.rmdir()
    quick = json.dumps(0.2)
    settings = federation.folder.server.settings
    settings.write_text(f"round_timeout = {quick}\nstartup_timeout = {quick}\n")
    engine.agents = {NODE: agents[NODE]}
    run(federation.folder.server, engine)
    assert read_metrics(federation.folder.server.metrics)["unpublished"] == [NODES[1]]
    engine.agents = agents
    run(federation.folder.server, engine)
    assert read_metrics(federation.folder.server.metrics)["unpublished"] == []
    for node in NODES:
        assert models(federation, node).numbers == [1]
        assert models(federation, node).release(1).digest == first.digest


def test_arrays_that_a_node_has_already_do_not_travel_again(tmp_path, monkeypatch):
    monkeypatch.setattr("ufgraphfr.deploy.wire.payload.MIN_CACHED_BYTES", 0)
    values = toy_values(evaluation={"every": 4}, federation={"rounds": 4})
    _, engine = done(tmp_path, values)
    for request in published(engine):
        # the test was of the same model
        assert len(request.parts[0]) < 100


def altered(federation, engine, **changes):
    """The node's answer to a release that was changed, whose digests fit again."""
    request = published(engine)[0]
    release = {**request.facts["release"], **changes.pop("release", {})}
    request = replace(request, facts=request.facts | {"release": release}, **changes)
    agent = Agent(federation.shard(NODE))
    return unpack(agent.answer(pack(request)))


HOSTILE = {
    "another agreement": {"release": {"agreement": "0" * 64}},
    "another run": {"release": {"run": "other"}},
    "another round": {"release": {"round": 1}, "round": 2},
    "a better promise": {"release": {"guarantee": "epsilon = 0.1"}},
    "other arrays": {"release": {"arrays": {}}},
    "no digests": {"release": {"arrays": {"same.items": "../../agreed"}}},
    "too many": {"release": {"arrays": {str(index): "0" * 64 for index in range(MAX_ARRAYS + 1)}}},
    "another model of that number": {"release": {"parent": "1" * 64}},
    "a parent that is no digest": {"release": {"parent": "../x"}},
    "a long statement": {"release": {"statement": "x" * (MAX_TEXT + 1)}},
    "a number below 1": {"release": {"number": 0}},
    "a number that is a path": {"release": {"number": "../2"}},
    "true for a number": {"release": {"number": True}},
    "one field more": {"release": {"more": 1}},
    "a newer schema": {"release": {"schema": "ufgraphfr-release-9"}},
    "one part more": {"release": {"number": 2}, "parts": (b"", b"", b"")},
    "no parts": {"release": {"number": 2}, "parts": ()},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_release_of_this_agreement_is_refused_and_not_kept(name, finished):
    assert altered(*finished, **HOSTILE[name]).code == "refused"
    assert models(finished[0]).numbers == [1]
    assert sorted(path.name for path in finished[0].shard(NODE).models.iterdir()) == ["1"]


def test_the_newest_is_served_until_the_operator_chooses(finished):
    federation, engine = finished
    here = models(federation)
    for number in (2, 3):
        assert altered(federation, engine, release={"number": number}).code == "ok"
        assert here.current == number
    here.use(1)
    altered(federation, engine, release={"number": 4})
    assert (here.current, here.chosen) == (1, 1)
    with pytest.raises(InputError, match="release 1 is served: choose another one first"):
        here.drop(1)
    here.use(None)
    assert here.current == 4
    here.drop(1)
    with pytest.raises(InputError, match="release 1 is not at this node: there are 2, 3, 4"):
        here.use(1)
    for number in range(5, 5 + KEPT):
        altered(federation, engine, release={"number": number})
    assert here.numbers == list(range(5, 5 + KEPT))


def test_a_release_that_was_changed_on_the_disk_is_not_served(finished):
    here = models(finished[0])
    path = finished[0].shard(NODE).models / "1" / SHARED
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is not as it came .*another digest"):
        here.load(1)


def test_a_task_from_a_release_is_the_one_that_was_sent(tmp_path):
    federation, _ = done(tmp_path, KINDS["tables of each client's own"])
    model = models(federation).load(1)
    some = torch.tensor([3, 0])
    task = model.task(some)
    assert task.clients.tolist() == [3, 0]
    at = [model.personal.clients.tolist().index(client) for client in some.tolist()]
    for name, tables in task.personal.items():
        assert torch.equal(tables.dense(), model.personal.personal[name].dense()[at])


def test_what_is_no_document_is_refused():
    for document in (b"", b"[]", b"{}", b"\xff", b"[" * 10**5):
        with pytest.raises(Malformed):
            Release.read(document)


def test_a_server_goes_on_from_its_own_releases(finished):
    releases = Releases(finished[0].folder.server.releases)
    model = finished[0].folder.server.run / "model.safetensors"
    first = releases.last()
    assert releases.make(first, model) == first
    second = releases.make(replace(first, round=2), model)
    assert (second.number, second.parent) == (2, first.digest)
    # killed before its document was written
    (finished[0].folder.server.releases / "3").mkdir()
    assert releases.last() == second
    (finished[0].folder.server.releases / "2" / "release.json").write_text("{}")
    with pytest.raises(InputError, match="is not as it was written"):
        releases.last()
