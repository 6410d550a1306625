"""A copy comes back: nothing is released twice, everybody is charged for what it may lack."""

import shutil
import tarfile

import pytest
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent import backup
from ufgraphfr.deploy.agent.pad_book import PadBook
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agreement.lifetime import Lifetime
from ufgraphfr.deploy.operations import backup as server_backup
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.server.continuing import begin_next
from ufgraphfr.deploy.server.handshake import TooFewReplies
from ufgraphfr.deploy.server.ledger_heads import LedgerHeads
from ufgraphfr.deploy.server.liveness import living
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.releases import Releases
from ufgraphfr.deploy.server.run import run
from ufgraphfr.privacy.accounted.accounting import epsilon_of, noise_of
from ufgraphfr.privacy.accounted.ledger import Ledger

NODE = NODES[0]
FEDMF = toy_values(algorithm={"kind": "fedmf", "dim": 4})
DELTA = 1e-3
PRIVATE = {
    **{"kind": "central-jdp", "epsilon": 4.0, "delta": DELTA, "clip": 1.0},
    **{"trust": "shard", "shards": 2},
}


def private(path, runs=4.0, rounds=3):
    values = toy_values(algorithm={"kind": "fedmf", "dim": 4}) | {"privacy": PRIVATE}
    values["federation"] = {"rounds": rounds, "cohort": 1.0}
    total = None
    if runs:
        total = Lifetime(epsilon_of(noise_of(4.0, DELTA) / runs**0.5, DELTA), DELTA)
    settings = {"startup_timeout": 0.1, "quorum": 0.5}
    return federate(path, values, spare=5, lifetime=total, **settings)


def lost(federation, file, **said):
    """The node's disk is gone, and a copy of it comes back."""
    shard = federation.shard(NODE)
    shutil.rmtree(shard.path, ignore_errors=True)
    said = {"release": None, "nothing_since": False} | said
    return backup.restore(shard, file, **said)


def released(federation, node=NODE):
    return [e["spend"] for e in Ledger(federation.shard(node).ledger).entries if "spend" in e]


def run_costs():
    return 1 / noise_of(4.0, DELTA) ** 2


@pytest.mark.slow
def test_a_restored_node_sits_out_the_run_and_pays_for_what_it_may_have_answered(tmp_path, caplog):
    federation, file = private(tmp_path / "d"), tmp_path / "copy.tar.gz"
    server = federation.folder.server
    federation.run(LocalEngine(federation.agents()), federation.folder.server.read_settings(), 1)
    backup.back_up(federation.shard(NODE), file)
    assert file.stat().st_mode & 0o777 == 0o600
    federation.run(LocalEngine(federation.agents()), federation.folder.server.read_settings(), 1)
    with pytest.raises(InputError, match="say --release"):
        lost(federation, file)
    told = lost(federation, file, release=0)
    assert any("deploy readmit FOLDER node-1" in line for line in told)
    before = released(federation)
    assert len(before) == 1
    # the rest of the run is the other node's
    LedgerHeads(server.ledger_heads).readmit(NODE)
    agents = federation.agents()
    run(server, LocalEngine(agents))
    metrics = read_metrics(server.metrics)
    assert (metrics["state"], metrics["release"], metrics["unpublished"]) == ("finished", 1, [])
    assert "it sits this run out" in caplog.text
    assert released(federation) == before
    costs = ShardStore(federation.shard(NODE).database).participations.costs(0)
    assert {round(cost / run_costs(), 6) for cost in costs.values()} == {1.0}
    # the next run has it again, and charges it
    begin_next(server)
    run(server, LocalEngine(agents))
    metrics = read_metrics(server.metrics)
    assert (metrics["state"], metrics["nodes"], metrics["users"]) == ("finished", 2, 30)
    assert len(released(federation)) == 1 + 3
    costs = ShardStore(federation.shard(NODE).database).participations.costs(0)
    users = [cost for user, cost in costs.items() if user >= 0]
    assert {round(cost / run_costs(), 6) for cost in users} == {2.0}


@pytest.mark.slow
def test_whole_runs_that_a_copy_lacks_are_charged_and_whoever_comes_pays_too(tmp_path):
    federation, file = private(tmp_path / "d"), tmp_path / "copy.tar.gz"
    server, engine = federation.folder.server, LocalEngine(federation.agents())
    run(server, engine)
    backup.back_up(federation.shard(NODE), file)
    for _ in range(2):
        begin_next(server)
        run(server, engine)
    lost(federation, file, release=3)
    store = ShardStore(federation.shard(NODE).database)
    table = tmp_path / "rows.csv"
    table.write_text("user,item,timestamp\n" + "".join(f"late,i{n},{n}\n" for n in range(5)))
    federation.shard(NODE).import_table(table, None)
    costs = store.participations.costs(0)
    # the runs that go on from releases 0 to 3
    for user in (0, store.numbers()[-1]):
        assert costs[user] == pytest.approx(4 * run_costs())
    # nothing is left of the total, and the node is refused without a release
    LedgerHeads(server.ledger_heads).readmit(NODE)
    before = released(federation)
    begin_next(server)
    run(server, LocalEngine(federation.agents()))
    assert released(federation) == before


def test_nothing_since_goes_on_and_the_server_sees_if_it_is_not_so(tmp_path):
    federation, file = private(tmp_path / "d"), tmp_path / "copy.tar.gz"
    settings = federation.folder.server.read_settings().model_copy(update={"quorum": 1.0})
    federation.run(LocalEngine(federation.agents()), settings, 1)
    backup.back_up(federation.shard(NODE), file)
    told = lost(federation, file, nothing_since=True)
    assert not any("readmit" in line for line in told)
    federation.run(LocalEngine(federation.agents()), settings, 1)
    assert len(released(federation)) == 2
    lost(federation, file, nothing_since=True)
    with pytest.raises(TooFewReplies, match="node-1 refused"):
        federation.run(LocalEngine(federation.agents()), settings)
    assert len(released(federation)) == 1


def test_the_pad_key_comes_back_and_no_pad_does(tmp_path):
    federation, file = federate(tmp_path / "d", FEDMF), tmp_path / "copy.tar.gz"
    book = PadBook(federation.shard(NODE).path)
    public, before = book.make(), book.epoch
    backup.back_up(federation.shard(NODE), file)
    lost(federation, file)
    assert book.key(public)
    assert book.epoch != before


def test_without_a_total_a_restored_node_serves_and_releases_nothing(tmp_path):
    federation, file = private(tmp_path / "d", runs=0), tmp_path / "copy.tar.gz"
    run(federation.folder.server, LocalEngine(federation.agents()))
    backup.back_up(federation.shard(NODE), file)
    told = lost(federation, file, release=1)
    assert any("agree anew" in line for line in told)


def test_without_a_guarantee_a_copy_simply_goes_on(tmp_path):
    federation, file = federate(tmp_path / "d", FEDMF), tmp_path / "copy.tar.gz"
    run(federation.folder.server, LocalEngine(federation.agents()))
    backup.back_up(federation.shard(NODE), file)
    lost(federation, file)
    begin_next(federation.folder.server)
    run(federation.folder.server, LocalEngine(federation.agents()))
    assert read_metrics(federation.folder.server.metrics)["release"] == 2


def test_a_copy_comes_where_nothing_is_and_only_if_it_is_one(tmp_path):
    federation, file = federate(tmp_path / "d", FEDMF), tmp_path / "copy.tar.gz"
    shard = federation.shard(NODE)
    backup.back_up(shard, file)
    with pytest.raises(InputError, match="is there already: name another file"):
        backup.back_up(shard, file)
    with pytest.raises(InputError, match="move it away"):
        backup.restore(shard, file, None, False)
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as archive:
        archive.add(shard.node, "else")
    with pytest.raises(InputError, match="holds no node"):
        lost(federation, tmp_path / "other.tar.gz")
    (tmp_path / "cut.tar.gz").write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(InputError, match="cannot be read as a backup"):
        backup.restore(shard, tmp_path / "cut.tar.gz", None, False)


def test_a_server_goes_on_from_its_copy(tmp_path):
    federation, file = federate(tmp_path / "d", FEDMF), tmp_path / "server.tar.gz"
    federation.run(LocalEngine(federation.agents()), stop_after=2)
    server = federation.folder.server
    with living(server), pytest.raises(InputError, match="pause it first"):
        server_backup.back_up(federation.folder, file)
    server_backup.back_up(federation.folder, file)
    with pytest.raises(InputError, match="move it away"):
        server_backup.restore(federation.folder, file)
    shutil.rmtree(server.path)
    told = server_backup.restore(federation.folder, file)
    assert any("ca.key is in no copy" in line for line in told)
    with tarfile.open(file) as archive:
        names = archive.getnames()
    assert "nodes/node-1/supernode.pub" in names
    assert not any("authority" in name or "supernode.key" in name for name in names)
    run(server, LocalEngine(federation.agents()))
    assert read_metrics(server.metrics)["state"] == "finished"
    assert Releases(server.releases).last().number == 1
    elsewhere = Deployment(tmp_path / "other")
    server_backup.restore(elsewhere, file)
    assert (elsewhere.server.tls / "server.key").stat().st_mode & 0o777 == 0o600
