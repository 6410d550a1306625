"""A database that goes away is told at once, and no empty shard takes its place by itself."""

import json

import pytest
from small_federation import NODES, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent import shard as agents
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.wire.message import Envelope, pack, unpack

NODE = NODES[0]


@pytest.fixture
def federation(tmp_path):
    return federate(tmp_path / "d", toy_values(algorithm={"kind": "fedmf", "dim": 4}))


def hello(federation, agent):
    asked = Envelope("hello", federation.agreement.digest, "run", 0, NODE, "nonce")
    return unpack(agent.answer(pack(asked))).code


@pytest.mark.parametrize("replaced", [False, True])
def test_a_database_that_is_removed_under_an_agent_is_told(federation, replaced):
    shard = federation.shard(NODE)
    agent = Agent(shard)
    assert hello(federation, agent) == "ok"
    content = shard.database.read_bytes()
    shard.database.rename(shard.path / "moved")
    if replaced:
        shard.database.write_bytes(content)
    assert hello(federation, agent) == "failed"
    reason = json.loads(shard.audit.read_text().splitlines()[-1])["reason"]
    assert "was removed or replaced while the agent ran" in reason


def test_a_shard_that_lost_its_users_does_not_start_empty(federation, tmp_path):
    shard = federation.shard(NODE)
    for path in shard.path.glob("shard.sqlite*"):
        path.unlink()
    with pytest.raises(InputError, match="held users and is gone"):
        Agent(shard)
    table = tmp_path / "rows.csv"
    table.write_text("user,item,timestamp\nu,i1,1\nu,i2,2\nu,i3,3\n")
    with pytest.raises(InputError, match="held users and is gone"):
        shard.import_table(table, None)
    assert not shard.database.exists()
    shard.held.unlink()
    assert shard.import_table(table, None).users == 1


def test_the_audit_log_does_not_grow_without_end(federation, monkeypatch):
    shard, agent = federation.shard(NODE), Agent(federation.shard(NODE))
    monkeypatch.setattr(agents, "MAX_AUDIT_BYTES", 1000)
    for _ in range(30):
        hello(federation, agent)
    assert shard.audit.stat().st_size < 1500
    assert 1000 < (shard.path / "audit.1.jsonl").stat().st_size < 1500
