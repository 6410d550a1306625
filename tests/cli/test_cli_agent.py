"""Releases and lists at a node, by `ufgraphfr agent`, with agents in this process."""

import json
import socket

import pytest
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.deploy.server.run import run

VALUES = toy_values(algorithm={"kind": "fedmf", "dim": 4})


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    return federate(tmp_path_factory.mktemp("d") / "deployment", VALUES)


@pytest.fixture
def agent(cli, federation):
    return lambda *words: cli("agent", "--shard", federation.shard(NODES[0]).path, *words)


def test_a_run_that_is_not_finished_is_not_published(cli, federation, agent):
    ended = cli("deploy", "publish", federation.folder.path)
    assert ended.code == 2
    assert "is not finished, and publishes its model when it is" in ended.err
    assert "no release has come yet" in agent("models", "list").out
    assert "none yet" in agent("status").out
    # the file that a killed agent leaves is no agent
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(federation.shard(NODES[0]).socket))
    assert "not open: the agent does not run" in agent("status").out
    assert "has no release of the model yet" in agent("recommend", "u1").err


def test_releases_are_listed_chosen_and_dropped(federation, agent, cli, monkeypatch):
    server = federation.folder.server
    run(server, LocalEngine(federation.agents()))
    listed = agent("models", "list").out
    assert federation.agreement.digest[:12] in listed
    assert "served" in listed
    assert "serving release 1, until" in agent("models", "use", 1).out
    assert "chosen" in agent("models", "list").out
    assert "release 1, as chosen; 1 kept here" in agent("status").out
    assert "is served: choose another" in agent("models", "drop", 1).err
    assert "serving the newest release" in agent("models", "use", "newest").out
    assert "give the number of one, or newest" in agent("models", "use", "latest").err
    assert "release 7 is not at this node" in agent("models", "use", 7).err

    # the engine's part: the same run once more, where one node is away
    def begin(folder):
        settings = "round_timeout = 0.2\nstartup_timeout = 0.2\n"
        folder.server.settings.write_text(settings)
        run(folder.server, LocalEngine({NODES[0]: federation.agents()[NODES[0]]}))

    monkeypatch.setattr("ufgraphfr.deploy.operations.launcher.publish", begin)
    told = cli("deploy", "publish", federation.folder.path).out
    assert "release 1 is at 1 nodes of 2" in told
    assert f"not at {NODES[1]}: see that SuperNode and agent run there" in told
    assert json.loads(server.metrics.read_text())["state"] == "finished"


def test_a_node_recommends_on_the_command_line(federation, agent, tmp_path):
    """As `recommend` does: the words and the files are the same."""
    if not federation.folder.server.releases.exists():
        run(federation.folder.server, LocalEngine(federation.agents()))
    found = json.loads(agent("recommend", "u1", "-n", 3, "--why", "--json").out)
    assert found["user"] == "u1"
    assert [each["rank"] for each in found["recommended"]] == [1, 2, 3]
    assert found["recommended"][0].keys() >= {"because", "shares", "reason"}
    assert "recommended next" in agent("recommend", "u1").out
    out = tmp_path / "recs.parquet"
    told = agent("recommend", "--users", "all", "--out", out, "-n", 2)
    assert f"{out}: 30 rows, the lists of 15 users" in told.out
    assert "one of USER, --history" in agent("recommend").err
    assert "no user 'u29'" in agent("recommend", "u29").err


def test_a_node_is_served_at_a_socket_for_apps_with_a_token(
    federation, agent, tmp_path, monkeypatch
):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    if not federation.folder.server.releases.exists():
        run(federation.folder.server, LocalEngine(federation.agents()))
    seen = []

    def answer(_app, version, host, port, listener=None):
        names = (version[:9], host, port, listener and listener.getsockname())
        seen.append(names)

    monkeypatch.setattr("ufgraphfr.cli.agent_serve.answer_until_told", answer)
    path = tmp_path / "app.sock"
    assert agent("serve").code == agent("serve", "--socket", path).code == 0
    here = ("release 1", "127.0.0.1", 8010)
    assert seen == [(*here, None), (*here, str(path))]
    assert not path.exists()
    token = agent("tokens", "add", "shop").out.strip()
    assert len(token) >= 40
    assert agent("tokens", "list").out.split() == ["shop"]
    assert "has a token: revoke it first" in agent("tokens", "add", "shop").err
    assert "revoked the token of shop" in agent("tokens", "revoke", "shop").out
    assert agent("tokens", "list").out == ""
