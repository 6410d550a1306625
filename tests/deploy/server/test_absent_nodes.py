"""Who is not asked, who is asked again, and what is said of who is missing."""

import sqlite3
from dataclasses import replace

import pytest
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.operations.init import _check_draw
from ufgraphfr.deploy.server import nodes as asking
from ufgraphfr.deploy.server.handshake import TooFewReplies, handshake
from ufgraphfr.deploy.server.ledger_heads import LedgerHeads
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.deploy.wire.message import pack, unpack

NODE, OTHER = NODES
FEDMF = {"kind": "fedmf", "dim": 4}


@pytest.fixture
def federation(tmp_path):
    return federate(tmp_path / "d", toy_values(algorithm=FEDMF))


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(asking, "RETRY_SECONDS", 0.05)


def test_a_node_that_a_round_draws_too_few_of_is_not_asked(tmp_path):
    """Nor does the run stop: its agent would refuse, and a resumed run draws the same."""
    values = toy_values(algorithm=FEDMF, federation={"rounds": 6, "cohort": 15})
    federation = federate(tmp_path / "d", values, min_users=8)
    engine, asked = LocalEngine(federation.agents()), list[tuple[str, int]]()

    def counted(node, _number, chunks):
        if unpack(chunks).kind == "train":
            asked.append((node, unpack(chunks).round))
        return [chunks]

    engine.changed = counted
    federation.run(engine)
    metrics = read_metrics(federation.folder.server.metrics)
    # of 15 at two nodes one at least has 8, and two never have
    assert sorted(number for _, number in asked) == [1, 2, 3, 4, 5, 6]
    assert 0 < metrics["users_left_out"] <= 6 * 7
    assert metrics["users_answered"] + metrics["users_left_out"] == 6 * 15
    assert metrics["replies_rejected"] == 0


def test_a_draw_that_no_node_could_answer_is_refused_before_anything_is_agreed(federation):
    agreement = replace(federation.agreement, min_users=21)
    with pytest.raises(InputError, match="draws 20 users of all nodes"):
        _check_draw(agreement, None)
    _check_draw(replace(agreement, min_users=20), None)
    spec = agreement.experiment.federation.model_copy(update={"cohort": 0.1})
    share = replace(agreement, experiment=replace(agreement.experiment, federation=spec))
    _check_draw(share, None)
    with pytest.raises(InputError, match="draws 20 users"):
        _check_draw(share, 200)
    _check_draw(share, 300)


@pytest.mark.parametrize("failure", [sqlite3.OperationalError("locked"), None])
def test_a_node_that_could_not_answer_is_asked_again(failure, federation):
    """A locked database, or no agent at its socket: it may be there before the time is over."""
    agents, left = federation.agents(), [2]
    keep = agents[NODE]._store.keep_reply

    def fails(*words):
        left[0] -= 1
        if left[0] >= 0:
            raise failure
        keep(*words)

    def silent(node, number, chunks):
        if node == NODE and number == 1 and left[0] > 0 and unpack(chunks).kind == "train":
            left[0] -= 1
            return [[]]
        return [chunks]

    engine = LocalEngine(agents)
    if failure is None:
        engine.changed = silent
    else:
        agents[NODE]._store.keep_reply = fails
    federation.run(engine)
    metrics = read_metrics(federation.folder.server.metrics)
    assert left[0] <= 0
    assert (metrics["rounds"], metrics["replies_rejected"], metrics["replies_lost"]) == (4, 0, 0)


def test_a_node_that_never_answers_is_missed_once_with_its_reason(federation):
    settings = ServerSettings(round_timeout=0.3, startup_timeout=0.1, quorum=0.5)

    def silent(node, number, chunks):
        return [[] if node == OTHER and number == 2 else chunks]

    federation.run(LocalEngine(federation.agents(), silent), settings)
    metrics = read_metrics(federation.folder.server.metrics)
    assert metrics["missed_by_node"][OTHER] >= 1
    assert "see that it runs there" in metrics["reason_by_node"][OTHER]
    assert NODE not in metrics["reason_by_node"]


def test_who_did_not_come_is_named_with_the_reason(federation, caplog):
    engine = LocalEngine({NODE: federation.agents()[NODE]})
    settings = ServerSettings(startup_timeout=0.1)
    heads = LedgerHeads(federation.folder.server.ledger_heads)
    with pytest.raises(TooFewReplies, match="node-2: did not connect"):
        handshake(federation.agreement, engine, settings, heads)

    def older(_node, _number, chunks):
        reply = unpack(chunks)
        return [pack(replace(reply, facts=reply.facts | {"version": "0.0.1"}))]

    handshake(federation.agreement, LocalEngine(federation.agents(), older), settings, heads)
    assert "node-1 runs ufgraphfr 0.0.1, and this server" in caplog.text
