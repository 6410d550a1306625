"""A node over HTTP: its users for who has a token, anybody by a history, always as of now."""

import threading

import pytest
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent import serve as agent_serve
from ufgraphfr.deploy.agent.models import Models
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agent.tokens import Tokens
from ufgraphfr.deploy.server.run import run
from ufgraphfr.serve.recommender import Recommender

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("httpx2", reason="the client of the tests is not installed")

from fastapi.testclient import TestClient

from ufgraphfr.serve.node import ServedNode, create_node_app


@pytest.fixture
def shard(tmp_path):
    federation = federate(tmp_path / "d", toy_values())
    run(federation.folder.server, LocalEngine(federation.agents()))
    return federation.shard(NODES[0])


@pytest.fixture
def client(shard):
    with TestClient(create_node_app(ServedNode(shard)), raise_server_exceptions=False) as client:
        yield client


def asked(client, user, token=None, **more):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.post("/users/recommend", json={"user": user, **more}, headers=headers)


def test_a_user_of_the_node_is_for_who_has_a_token(client, shard):
    tokens = Tokens(shard.tokens)
    token = tokens.add("shop")
    for wrong in (None, "", "x", token[:-1], token.swapcase()):
        answer = asked(client, "u1", wrong)
        assert answer.status_code == 401
        assert "history" not in answer.json()
    answer = asked(client, "u1", token, n=4, why=True)
    assert answer.status_code == 200
    expected = Recommender.at_node(shard).recommend("u1", 4)
    assert [each["item"] for each in answer.json()["recommended"]] == [e.item for e in expected]
    assert answer.json()["recommended"][0]["reason"]
    tokens.revoke("shop")
    assert asked(client, "u1", token).status_code == 401


def test_of_others_nothing_is_told(client, shard):
    token = Tokens(shard.tokens).add("shop")
    # a user of the other node, and one whose name is like many
    for name in ("u29", "u"):
        answer = asked(client, name, token)
        assert answer.status_code == 404
        assert answer.json()["detail"] == "no such user at this node"


def test_anybody_is_served_by_a_history(client):
    answer = client.post("/recommend", json={"history": ["i1", "i2"], "n": 3})
    assert len(answer.json()["recommended"]) == 3
    assert client.post("/recommend", json={"user": "u1"}).status_code == 422
    health = client.get("/health").json()
    assert health["run"].startswith("release 1, ")
    assert health["agent"] == "does not run"
    assert "No privacy guarantee" in client.get("/privacy").text
    assert client.get("/").status_code == 200


def test_what_changed_counts_from_the_next_request_on(client, shard):
    token = Tokens(shard.tokens).add("shop")
    before = asked(client, "u2", token).json()
    assert asked(client, "u2", token).json() == before
    ShardStore(shard.database).forget("u2")
    assert asked(client, "u2", token).status_code == 404
    Models(shard.models).use(1)
    (shard.models / "use").write_text("7\n")
    answer = asked(client, "u1", token)
    assert answer.status_code == 503
    assert str(shard.path) not in answer.text
    (shard.models / "use").unlink()
    assert asked(client, "u1", token).status_code == 200


def test_health_says_whether_the_agent_listens(client, shard):
    with agent_serve.listen(shard.socket):
        assert client.get("/health").json()["agent"] == "listens"


def test_a_release_is_prepared_before_it_is_asked(shard, monkeypatch):
    warmed = []
    monkeypatch.setattr(Recommender, "warm", lambda self: warmed.append(self.catalogue))
    node = ServedNode(shard)
    assert warmed == [node.recommender.catalogue]
    ShardStore(shard.database).forget("u2")
    assert node.recommender.people.served()
    assert len(warmed) == 2


def test_many_ask_at_the_same_time(client, shard):
    token = Tokens(shard.tokens).add("shop")
    expected, found = asked(client, "u1", token).json(), []
    threads = [
        threading.Thread(target=lambda: found.append(asked(client, "u1", token).json()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # they are scored together, which rounds otherwise
    scores = [each.pop("score") for each in expected["recommended"]]
    for answer in found:
        assert [e.pop("score") for e in answer["recommended"]] == pytest.approx(scores, abs=1e-5)
    assert found == [expected] * 8


def test_tokens_are_kept_as_digests(shard):
    tokens = Tokens(shard.tokens)
    token, other = tokens.add("shop"), tokens.add("phone")
    assert token != other
    assert tokens.names == ["phone", "shop"]
    text = shard.tokens.read_text()
    assert token not in text
    assert shard.tokens.stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="app 'shop' has a token: revoke it first"):
        tokens.add("shop")
    with pytest.raises(InputError, match="a name is of letters"):
        tokens.add("../x")
    with pytest.raises(InputError, match="app 'ship' has no token"):
        tokens.revoke("ship")
    tokens.revoke("shop")
    assert tokens.accepts(other)
    assert not tokens.accepts(token)
