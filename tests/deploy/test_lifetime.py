"""A person's total over all runs is kept, whoever is asked for; who spent it is still served."""

import json
import sqlite3
import time
from dataclasses import replace

import pytest
import torch
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.enrolment import beyond
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agreement.chain import read_agreement
from ufgraphfr.deploy.agreement.lifetime import Lifetime
from ufgraphfr.deploy.operations.amend import Changes, amend
from ufgraphfr.deploy.server.continuing import begin_next
from ufgraphfr.deploy.server.handshake import TooFewReplies
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.server.releases import Releases
from ufgraphfr.deploy.server.run import run
from ufgraphfr.deploy.wire.message import Envelope, pack, unpack
from ufgraphfr.privacy.accounted.accounting import epsilon_of, noise_of
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.serve.recommender import Recommender

NODE = NODES[0]
DELTA, ROUNDS = 1e-3, 2
PRIVATE = {
    **{"kind": "central-jdp", "epsilon": 4.0, "delta": DELTA, "clip": 1.0},
    **{"trust": "shard", "shards": 2},
}


def of_runs(count):
    """The total of so many runs of `PRIVATE`."""
    return epsilon_of(noise_of(4.0, DELTA) / count**0.5, DELTA)


def private(path, count=2.0, days=0, **changes):
    values = toy_values(algorithm={"kind": "fedmf", "dim": 4})
    values["federation"] = {"rounds": ROUNDS, "cohort": 1.0}
    values["privacy"] = PRIVATE | changes
    lifetime = None if count is None else Lifetime(of_runs(count), DELTA, days)
    return federate(path, values, spare=5, lifetime=lifetime, startup_timeout=0.1)


def go_on(federation, engine):
    begin_next(federation.folder.server)
    run(federation.folder.server, engine)
    return read_metrics(federation.folder.server.metrics)


def bring(federation, tmp_path, name="late"):
    path = tmp_path / "rows.csv"
    rows = "".join(f"{name},i{item},{10 + item}\n" for item in (1, 2, 3, 4))
    path.write_text("user,item,timestamp\n" + rows)
    federation.shard(NODE).import_table(path, None)
    return ShardStore(federation.shard(NODE).database).numbers()[-1]


def cost(federation, client):
    store = ShardStore(federation.shard(NODE).database)
    return store.participations.costs(-float("inf")).get(client, 0.0)


@pytest.mark.slow
def test_runs_are_charged_against_a_total_and_then_people_are_left_out(tmp_path):
    federation = private(tmp_path / "d")
    server, agreement = federation.folder.server, federation.agreement
    assert agreement.lifetime.runs(4.0, DELTA) == 2
    engine = LocalEngine(federation.agents())
    run(server, engine)
    one = cost(federation, 0)
    assert one == pytest.approx(1 / noise_of(4.0, DELTA) ** 2)
    metrics = go_on(federation, engine)
    assert (metrics["state"], metrics["release"], metrics["users"]) == ("finished", 2, 30)
    assert metrics["replies_rejected"] == 0
    assert cost(federation, 0) == pytest.approx(2 * one)
    ledger = Ledger(federation.shard(NODE).ledger)
    assert [spend["round"] for spend in ledger.spends] == [1, 2]
    assert sum("spend" in entry for entry in ledger.entries) == 4
    assert "all runs together" in Releases(server.releases).last().statement
    store = ShardStore(federation.shard(NODE).database)
    assert str(store.participations.spent()).startswith(f"epsilon = {of_runs(2):.3g}")
    assert beyond(store, agreement) == 15
    # of those who were there nobody is in a third one, and who came since is
    late = bring(federation, tmp_path)
    (federation.folder.server.settings).write_text("startup_timeout = 0.1\nquorum = 0.5\n")
    metrics = go_on(federation, LocalEngine(federation.agents()))
    assert (metrics["state"], metrics["users"]) == ("finished", 1)
    assert Participants.read(server.participants).clients[NODE].tolist() == [late]
    assert cost(federation, 0) == pytest.approx(2 * one)
    served = Recommender.at_node(federation.shard(NODE))
    assert len(served.recommend("u0")) == len(served.recommend("late")) == 10
    begin_next(server)
    metrics = go_on_until_refused(federation)
    reasons = [
        json.loads(line)["reason"]
        for line in federation.shard(NODES[1]).audit.read_text().splitlines()
    ]
    assert "everybody's total for life is spent" in reasons
    assert metrics["users"] == 1


def go_on_until_refused(federation):
    run(federation.folder.server, LocalEngine(federation.agents()))
    return read_metrics(federation.folder.server.metrics)


def test_a_server_that_names_whom_it_likes_gets_nobody_beyond_the_total(tmp_path):
    """Without an enrolment, and by a count that another run has left."""
    federation = private(tmp_path / "d", count=1.0)
    run(federation.folder.server, LocalEngine(federation.agents()))
    agent = Agent(federation.shard(NODE))
    mechanism = agent._handlers.mechanism
    admit = agent._store.participations.admit
    asked, key = torch.arange(3), federation.agreement.root + ".1"
    assert not admit(key, mechanism, 1, asked, federation.agreement.lifetime).any()
    assert admit(key, mechanism, 1, asked, None).all()


def test_under_a_total_of_a_year_old_runs_count_no_longer(tmp_path):
    federation = private(tmp_path / "d", count=1.0, days=365)
    engine = LocalEngine(federation.agents())
    run(federation.folder.server, engine)
    store = ShardStore(federation.shard(NODE).database)
    assert beyond(store, federation.agreement) == 15
    for node in NODES:
        with sqlite3.connect(federation.shard(node).database) as database:
            early = time.time() - 366 * 86_400
            database.execute("UPDATE last_releases SET time = ?", (early,))
    assert beyond(store, federation.agreement) == 0
    metrics = go_on(federation, engine)
    assert (metrics["state"], metrics["users"]) == ("finished", 30)


def test_each_run_is_paid_for_once_and_a_ledger_that_goes_back_is_refused(tmp_path):
    federation = private(tmp_path / "d", count=3.0)
    engine = LocalEngine(federation.agents())
    run(federation.folder.server, engine)
    copy = federation.shard(NODE).ledger.read_bytes()
    go_on(federation, engine)
    federation.shard(NODE).ledger.write_bytes(copy)
    # also between two runs: the head is of all runs, and the greeting says it
    begin_next(federation.folder.server)
    with pytest.raises(TooFewReplies, match=r"node-1: .* a copy that is older than its payments"):
        run(federation.folder.server, LocalEngine(federation.agents()))
    audit = federation.shard(NODE).audit.read_text().splitlines()
    assert "lacks payments that the server has seen" in audit[-1]


@pytest.mark.slow
def test_an_agent_that_is_killed_between_two_runs_promises_anew(tmp_path, monkeypatch):
    federation = private(tmp_path / "d", count=3.0)
    engine = LocalEngine(federation.agents())
    run(federation.folder.server, engine)
    release = Releases(federation.folder.server.releases).last()
    asked = Envelope(
        *("hello", federation.agreement.digest, release.next_run, 0, NODE, "n"),
        facts={"continues": release.digest},
    )

    def killed(*_):
        raise KeyboardInterrupt

    agent = Agent(federation.shard(NODE))
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "declare", killed)
        with pytest.raises(KeyboardInterrupt):
            agent.answer(pack(asked))
    # the run is pinned, and its promise is made by who comes after
    again = Agent(federation.shard(NODE))
    assert Ledger(federation.shard(NODE).ledger).begun == release.next_run
    assert unpack(again.answer(pack(replace(asked, facts={})))).code == "ok"
    assert go_on(federation, LocalEngine(federation.agents()))["state"] == "finished"


@pytest.mark.slow
def test_a_node_joins_under_a_guarantee_with_the_next_run(tmp_path):
    federation = private(tmp_path / "d", count=3.0)
    engine = LocalEngine(federation.agents())
    run(federation.folder.server, engine)
    agreed = amend(federation.folder, Changes(join=(("shop", 5),))).agreement
    assert agreed.experiment.mechanism.shards == 3
    for node in (*NODES, "shop"):
        federation.shard(node).sign(agreed.digest)
    table = tmp_path / "rows.csv"
    rows = "".join(f"u{u},i{(u * 3 + k) % 40},{k}\n" for u in range(100, 104) for k in range(5))
    table.write_text("user,item,timestamp\n" + rows)
    federation.shard("shop").import_table(table, None)
    engine.agents["shop"] = Agent(federation.shard("shop"))
    metrics = go_on(federation, engine)
    assert (metrics["state"], metrics["users"], metrics["unpublished"]) == ("finished", 34, [])
    assert Ledger(federation.shard(NODE).ledger).guarantee["shards"] == 3


def test_a_total_that_affords_no_run_or_has_no_budget_is_not_agreed_on(tmp_path):
    with pytest.raises(InputError, match="does not afford one run"):
        private(tmp_path / "a", count=0.9)
    with pytest.raises(InputError, match="names none"):
        federate(tmp_path / "b", toy_values(), lifetime=Lifetime(8.0, DELTA))
    with pytest.raises(InputError, match="delta between 0 and 1"):
        Lifetime(8.0, 0.0)


def test_the_total_is_read_as_it_was_signed(tmp_path):
    federation = private(tmp_path / "d", days=365)
    path = federation.shard(NODE).agreement
    assert read_agreement(path).lifetime == federation.agreement.lifetime
    assert f"epsilon = {of_runs(2):g}, delta = 1e-03 a person in any 365 days" in str(
        federation.agreement.lifetime
    )
    path.write_bytes(path.read_bytes().replace(b"days =", b"weeks ="))
    with pytest.raises(InputError, match=r"\[lifetime\] holds"):
        read_agreement(path)
