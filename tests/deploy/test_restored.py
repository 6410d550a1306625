"""A shard's folder that goes back to an older copy releases nothing again, and both ends say so."""

import json
import shutil
from dataclasses import replace

import pytest
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.agreement.lifetime import Lifetime
from ufgraphfr.deploy.server.continuing import begin_next
from ufgraphfr.deploy.server.handshake import TooFewReplies
from ufgraphfr.deploy.server.ledger_heads import LedgerHeads
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.run import run
from ufgraphfr.deploy.wire.message import Malformed, pack, unpack
from ufgraphfr.privacy.accounted.ledger import Ledger

NODE = NODES[0]
PRIVATE = {
    **{"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "clip": 1.0},
    **{"trust": "shard", "shards": 2},
}


@pytest.fixture
def private(tmp_path):
    values = toy_values(algorithm={"kind": "fedmf", "dim": 4}, federation={"rounds": 4})
    return federate(tmp_path / "d", values | {"privacy": PRIVATE})


def restored(federation, copy, files):
    shard = federation.shard(NODE).path
    if files == "all":
        shutil.rmtree(shard)
        shutil.copytree(copy, shard)
        return
    for path in shard.glob(f"{files}*"):
        path.unlink()
    for path in copy.glob(f"{files}*"):
        shutil.copy(path, shard)


def reason(federation):
    return json.loads(federation.shard(NODE).audit.read_text().splitlines()[-1])["reason"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("all", "lacks payments that the server has seen"),
        ("ledger", "lacks payments that the server has seen"),
        ("shard.sqlite", "lacks replies that"),
    ],
)
def test_a_restored_shard_is_refused_by_itself(files, said, private, tmp_path, caplog):
    private.run(LocalEngine(private.agents()), stop_after=1)
    shutil.copytree(private.shard(NODE).path, tmp_path / "copy")
    private.run(LocalEngine(private.agents()), stop_after=2)
    payments = len(Ledger(private.shard(NODE).ledger).spends)
    assert payments == 3
    restored(private, tmp_path / "copy", files)
    before = private.shard(NODE).ledger.read_bytes()
    with pytest.raises(TooFewReplies, match="node-1 refused"):
        private.run(LocalEngine(private.agents()))
    assert said in reason(private)
    assert private.shard(NODE).ledger.read_bytes() == before
    # the server says it too: which node, and why
    assert "node-1: the agent answered 'refused': its folder was restored" in caplog.text


def test_a_ledger_that_was_put_back_between_two_runs_is_told_when_the_next_one_begins(tmp_path):
    values = toy_values(algorithm={"kind": "fedmf", "dim": 4}, federation={"rounds": 2})
    total = Lifetime(24.0, 1e-3, 0)
    federation = federate(
        tmp_path / "d", values | {"privacy": PRIVATE}, lifetime=total, startup_timeout=0.1
    )
    server, ledger = federation.folder.server, federation.shard(NODE).ledger
    run(server, LocalEngine(federation.agents()))
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:-1]))
    begin_next(server)
    with pytest.raises(TooFewReplies, match=r"node-1: .* its folder was restored from a copy"):
        run(server, LocalEngine(federation.agents()))
    assert "lacks payments that the server has seen" in reason(federation)


def test_a_ledger_that_goes_back_is_refused_by_the_server_too(private):
    """Also where a node does not look: its own agent was changed."""
    first = {}

    def old_head(node, number, chunks):
        reply = unpack(chunks)
        if node == NODE:
            first.setdefault("head", reply.facts.get("ledger"))
            if number > 1:
                reply = replace(reply, facts={"ledger": first["head"]})
        return [pack(reply)]

    with pytest.raises(TooFewReplies, match="round 2"):
        private.run(LocalEngine(private.agents(), old_head))
    missed = read_metrics(private.folder.server.metrics)["missed_by_node"]
    assert missed == {NODE: 1}


def test_an_honest_federation_never_goes_back(private):
    out = private.run(LocalEngine(private.agents()))
    assert (out / "result.json").exists()
    heads = json.loads(private.folder.server.ledger_heads.read_text())["heads"]
    assert heads == {node: Ledger(private.shard(node).ledger).head for node in NODES}
    # a new process of an agent continues the same record
    assert Agent(private.shard(NODE))._ledger.follows(heads[NODE])


@pytest.mark.parametrize(
    "head",
    [
        None,
        {"entries": 2, "sha256": "0" * 64},
        {"entries": 1, "sha256": "1" * 64},
        {"entries": "4", "sha256": "1" * 64},
        {"entries": 4, "sha256": "x"},
        {"entries": 4, "sha256": "1" * 64, "more": 1},
        [4],
    ],
)
def test_what_is_no_later_head_is_refused(head, tmp_path):
    heads = LedgerHeads(tmp_path / "heads.json")
    heads.keep("a", {"entries": 2, "sha256": "1" * 64})
    with pytest.raises(Malformed):
        heads.keep("a", head)
    heads.keep("a", {"entries": 2, "sha256": "1" * 64})
    heads.keep("b", None)
    assert LedgerHeads(tmp_path / "heads.json").facts("a")["ledger"]["entries"] == 2
