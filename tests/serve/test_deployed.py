"""Lists in a deployment: a node's are those of the simulation, and the server has nobody's data."""

import sqlite3

import pytest
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.models import Models
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.server.run import run
from ufgraphfr.experiment import build, execute
from ufgraphfr.serve.recommender import Recommender
from ufgraphfr.serve.requests import Request

ITEMS = 40
KINDS = {
    "ufgraphformer": toy_values(),
    "fedmf": toy_values(algorithm={"kind": "fedmf", "dim": 4, "lr": 0.05}),
    "ufgraphfr": toy_values(algorithm={"kind": "ufgraphfr", "dim": 8}),
    "fedrecon": toy_values(algorithm={"kind": "fedrecon", "dim": 4}),
}
SHARED = ("ufgraphformer", "fedrecon")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A deployment of each kind, run when it is first asked for, and the simulation of the same."""
    found = {}

    def make(kind):
        if kind not in found:
            folder = tmp_path_factory.mktemp(kind)
            list(execute(build(KINDS[kind]), folder / "run", device="cpu"))
            federation = federate(folder / "d", KINDS[kind])
            run(federation.folder.server, LocalEngine(federation.agents()))
            found[kind] = federation, Recommender.open(folder / "run")
        return found[kind]

    return make


def at_node(federation, node=NODES[0]):
    return Recommender.at_node(federation.shard(node))


def scores(recommender, request):
    return {each.item: each.score for each in recommender.answer(request).recommended}


@pytest.mark.parametrize("kind", KINDS)
def test_each_node_recommends_to_its_users_as_the_simulation_does(kind, made):
    federation, simulated = made(kind)
    for node in NODES:
        served = at_node(federation, node)
        names = ShardStore(federation.shard(node).database).names()
        assert served.people.served() == names
        assert len(names) == 15
        for name in names[::4]:
            request = Request(user=name, n=ITEMS)
            assert served.history(name) == simulated.history(name)
            expected = scores(simulated, request)
            assert scores(served, request) == pytest.approx(expected, rel=1e-4, abs=1e-4)
            assert served.answer(request).notes == simulated.answer(request).notes


@pytest.mark.parametrize("kind", KINDS)
def test_reasons_are_those_of_the_simulation(kind, made):
    federation, simulated = made(kind)
    served = at_node(federation)
    (name, *_) = served.people.served()
    request = Request(user=name, why=True)
    pairs = zip(
        served.answer(request).recommended, simulated.answer(request).recommended, strict=True
    )
    for own, other in pairs:
        assert own.shares == pytest.approx(other.shares, rel=1e-3, abs=1e-4)
        assert [each.item for each in own.because] == [each.item for each in other.because]


@pytest.mark.parametrize("kind", SHARED)
def test_node_and_server_answer_alike_for_a_history(kind, made):
    federation, _ = made(kind)
    server, node = Recommender.open(federation.folder.server.run), at_node(federation)
    name = node.people.served()[2]
    own = [each["item"] for each in node.named(node.answer(Request(user=name)).history)]
    handed_in = Request(history=own, n=ITEMS)
    expected = scores(node, handed_in)
    assert scores(server, handed_in) == pytest.approx(expected, rel=1e-5, abs=1e-5)
    # whatever the profile is called: no table here says
    assert server.answer(Request(history=own, profile={"age": "30"})).recommended
    assert server.similar(own[0])


def test_under_a_guarantee_node_and_server_have_the_same_model(tmp_path):
    privacy = {"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "trust": "shard", "shards": 2}
    values = toy_values() | {"algorithm": {"kind": "ufgraphformer", "dim": 8}, "privacy": privacy}
    federation = federate(tmp_path / "d", values | {"federation": {"rounds": 1}})
    run(federation.folder.server, LocalEngine(federation.agents()))
    server, node = Recommender.open(federation.folder.server.run), at_node(federation)
    answer = node.answer(Request(user="u1", why=True))
    assert answer.recommended[0].reason
    own = Request(history=[each["item"] for each in node.named(answer.history)], n=ITEMS)
    assert scores(server, own) == pytest.approx(scores(node, own), rel=1e-5, abs=1e-5)


def test_the_server_has_no_users(made):
    federation, _ = made("ufgraphformer")
    server = Recommender.open(federation.folder.server.run)
    assert server.people.served() == []
    with pytest.raises(InputError, match=r"'u1' in this run: users .*, whose agents recommend"):
        server.recommend("u1")
    with pytest.raises(InputError, match="data that stay at their nodes: leave --data-dir out"):
        Recommender.open(federation.folder.server.run, federation.folder.path)


def test_weights_of_each_users_own_serve_nobody_else(made):
    federation, _ = made("fedmf")
    for served in (Recommender.open(federation.folder.server.run), at_node(federation)):
        with pytest.raises(InputError, match="'fedmf' keeps weights of each user's own"):
            served.answer(Request(history=["i1"]))


def add(federation, name, rows):
    """A user of whom a table with so many rows comes after the run."""
    database = sqlite3.connect(federation.shard(NODES[1]).database)
    database.execute("PRAGMA foreign_keys = ON")
    with database:
        database.execute("DELETE FROM users WHERE name = ?", (name,))
        vector = database.execute("SELECT vector FROM users").fetchone()[0]
        database.execute("INSERT INTO users VALUES (?, ?, ?)", (1000, name, vector))
        values = [(1000, item, item) for item in range(rows)]
        database.executemany("INSERT INTO interactions (user, item, time) VALUES (?, ?, ?)", values)
    database.close()


def test_who_came_since_is_served_by_shared_weights_and_told_apart(made):
    federation, _ = made("ufgraphformer")
    for rows in (1, 5):
        add(federation, "late", rows)
        served = at_node(federation, NODES[1])
        answer = served.answer(Request(user="late"))
        assert len(answer.recommended) == 10
        assert len(answer.history) == rows
        (note,) = answer.notes
        assert note.startswith("not among those who trained")
    own, _ = made("fedmf")
    add(own, "late", 5)
    served = at_node(own, NODES[1])
    assert "late" not in served.people.served()
    with pytest.raises(InputError, match=r"no user 'late' .* who were here when it was published"):
        served.recommend("late")


def test_what_a_node_lacks_is_named(tmp_path):
    federation = federate(tmp_path / "d", KINDS["fedmf"])
    shard = federation.shard(NODES[0])
    with pytest.raises(InputError, match="has no release of the model yet"):
        Recommender.at_node(shard)
    run(federation.folder.server, LocalEngine(federation.agents()))
    assert Recommender.at_node(shard).people.served()
    Models(shard.models).use(1)
    shard.agreed.unlink()
    with pytest.raises(InputError, match="is not signed off: nothing is served under it"):
        Recommender.at_node(shard)
