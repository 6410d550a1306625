"""What the last release wrote is read, what a newer one wrote is refused, and identity lasts."""

import hashlib
import json
import sqlite3
import tomllib
from dataclasses import replace

import pytest
import tomli_w
from last_release import write_as_last_release, write_run_as_last_release
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.algorithms.fedmf import FedMF
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.versions import Schema
from ufgraphfr.data.sources.table import TableSource
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agreement.chain import read_agreement, read_documents
from ufgraphfr.deploy.server.metrics import RunMetrics, read_metrics
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.server.run import run
from ufgraphfr.deploy.wire.message import Envelope, Malformed, matched, pack, unpack
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.privacy.accounted.ledger import Ledger

NODE = NODES[0]
# keys of server.toml, whose owner may change them
RENAMED = pytest.mark.filterwarnings("ignore:.* is called .* now:DeprecationWarning")
FEDMF = {"kind": "fedmf", "dim": 4, "lr": 0.05}
UPGRADE = r"was written by a newer release \({} schema 9; this one reads up to {}\): upgrade"


def result(federation):
    return json.loads((federation.folder.server.run / "result.json").read_text())["test"]


def run_all(federation):
    run(federation.folder.server, LocalEngine(federation.agents()))
    return result(federation)


@RENAMED
def test_a_deployment_of_the_last_release_runs_to_the_same_result(tmp_path):
    expected = run_all(federate(tmp_path / "now", toy_values(algorithm=FEDMF)))
    old = federate(tmp_path / "before", toy_values(algorithm=FEDMF), startup_timeout=7.0)
    old = replace(old, agreement=replace(old.agreement, min_users=2))
    digest = write_as_last_release(old)
    assert old.folder.server.read_settings().startup_timeout == 7.0
    assert run_all(old) == expected
    agreement = read_agreement(old.shard(NODE).agreement)
    assert agreement.digest == digest
    assert agreement.min_users == 2
    assert agreement.experiment == old.agreement.experiment


def test_a_run_of_the_last_release_is_resumed(tmp_path):
    values = toy_values(algorithm=FEDMF)
    expected = run_all(federate(tmp_path / "now", values))
    old = federate(tmp_path / "before", values)
    old.run(LocalEngine(old.agents()), stop_after=2)
    before = Participants.read(old.folder.server.participants)
    write_run_as_last_release(old)
    assert Participants.read(old.folder.server.participants).run == before.run
    assert run_all(old) == expected
    assert {path.stem for path in old.folder.server.path.glob("*.json")} == {
        *("catalogue", "roster", "tally")
    }


def test_what_this_release_has_no_longer_is_refused_by_name(federation):
    write_as_last_release(federation)
    path = federation.shard(NODE).agreement
    values = tomllib.loads(path.read_text())
    values["experiment"]["algorithm"]["residual"] = True
    path.write_text(tomli_w.dumps(values))
    message = r"agreement\.toml is of an older release, .*no key 'residual'.*: install that release"
    with pytest.raises(InputError, match=message):
        Agent(federation.shard(NODE))


class Later(FederationSpec):
    a_later_key: int = 3


class LaterTable(TableSource):
    a_later_key: str = "x"


class LaterFedMF(FedMF):
    a_later_key: float = 0.5


@pytest.fixture
def upgrade(monkeypatch):
    """Installs a release in which three tables have a further key with a default."""

    def upgraded():
        # a kind is the one class that its module defines
        monkeypatch.setattr(LaterFedMF, "__module__", FedMF.__module__)
        monkeypatch.setattr("ufgraphfr.algorithms.fedmf.FedMF", LaterFedMF)
        monkeypatch.setattr("ufgraphfr.experiment.config.FederationSpec", Later)
        monkeypatch.setattr("ufgraphfr.deploy.agreement.document.TableSource", LaterTable)

    return upgraded


@RENAMED
@pytest.mark.parametrize("writer", ["this release", "the last release"])
@pytest.mark.parametrize("agents", ["upgraded too", "not upgraded yet"])
def test_a_later_key_with_a_default_changes_no_agreement(writer, agents, upgrade, tmp_path):
    federation = federate(tmp_path / "d", toy_values(algorithm=FEDMF))
    if writer == "the last release":
        write_as_last_release(federation)
    expected = run_all(federate(tmp_path / "e", toy_values(algorithm=FEDMF)))
    agreed = read_agreement(federation.folder.server.agreement)
    digest = agreed.digest
    old_agents = federation.agents()
    upgrade()
    later = read_agreement(federation.folder.server.agreement)
    assert later.experiment.model.a_later_key == 0.5
    assert later.experiment.federation.a_later_key == 3
    assert later.table.a_later_key == "x"
    assert later.experiment.resolved() != agreed.experiment.resolved()
    assert later.digest == digest
    engine = LocalEngine(old_agents if agents == "not upgraded yet" else federation.agents())
    run(federation.folder.server, engine)
    assert result(federation) == expected


def test_the_digest_is_that_of_the_file(federation):
    path = federation.folder.server.agreement
    agreement = read_agreement(path)
    assert agreement.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes() + b"# read and found good\n")
    assert read_agreement(path).digest != agreement.digest
    # a copy is byte by byte what was read
    copied = path.with_name("copy.toml")
    read_agreement(path).write(copied)
    assert copied.read_bytes() == path.read_bytes()


def test_the_server_too_wants_the_catalogue_that_was_agreed_on(federation):
    server = federation.folder.server
    server.catalogue.write_bytes(server.catalogue.read_bytes() + b" ")
    with pytest.raises(InputError, match="not the catalogue that was agreed on"):
        run(server, LocalEngine(federation.agents()))


def newer(path):
    """The file as a release to come would write it."""
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"schema": f"ufgraphfr-{path.stem}-9", "more": 1}))


def test_a_newer_agreement_is_refused(federation):
    path = federation.shard(NODE).agreement
    values = tomllib.loads(path.read_text()) | {"schema": "ufgraphfr-agreement-9"}
    path.write_text(tomli_w.dumps(values))
    with pytest.raises(InputError, match=r"agreement\.toml " + UPGRADE.format("agreement", 2)):
        Agent(federation.shard(NODE))


def test_a_newer_catalogue_is_refused(federation):
    newer(federation.shard(NODE).catalogue)
    with pytest.raises(InputError, match=r"catalogue\.json " + UPGRADE.format("catalogue", 1)):
        Agent(federation.shard(NODE))


def test_files_of_a_newer_server_are_refused(federation):
    server = federation.folder.server
    federation.run(LocalEngine(federation.agents()), stop_after=1)
    server.write_nodes({NODE: 7}, {NODE: "SHA256:x"})
    assert server.read_nodes() == {NODE: 7}
    for path, read in (
        (server.participants, Participants.read),
        (server.metrics, read_metrics),
        (server.metrics, lambda path: RunMetrics(path, rounds=4)),
        (server.registered, lambda _: server.read_nodes()),
    ):
        newer(path)
        kept = path.read_bytes()
        versions = 2 if path == server.registered else 1
        with pytest.raises(InputError, match=UPGRADE.format(path.stem, versions)):
            read(path)
        assert path.read_bytes() == kept


def test_node_ids_that_the_last_release_registered_are_known(federation):
    server = federation.folder.server
    server.registered.write_text(json.dumps({NODE: 12, NODES[1]: 34}))
    assert server.read_nodes() == {NODE: 12, NODES[1]: 34}


def test_a_newer_shard_is_refused_and_left_as_it_is(federation):
    path = federation.shard(NODE).database
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
        database.execute("PRAGMA user_version = 9")
        database.execute("DROP TABLE counters")
    database.close()
    with pytest.raises(InputError, match=r"shard\.sqlite " + UPGRADE.format("shard", 1)):
        ShardStore(path)
    with sqlite3.connect(path) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'counters'")
        assert tables.fetchall() == []
    database.close()


def test_a_newer_ledger_is_refused(tmp_path):
    path = tmp_path / "ledger.jsonl"
    Ledger(path).declare({"epsilon": 1.0, "parts": {}})
    line = path.read_text()
    assert json.loads(line)["schema"] == "ufgraphfr-ledger-1"
    path.write_text(line.replace("ledger-1", "ledger-9"))
    with pytest.raises(InputError, match=r"ledger\.jsonl " + UPGRADE.format("ledger", 1)):
        Ledger(path)
    # the last release named no schema
    path.write_text(json.dumps({"claim": {"epsilon": 1.0}, "previous": "0" * 64}) + "\n")
    assert Ledger(path).guarantee == {"epsilon": 1.0}


def test_a_newer_message_is_refused_and_both_logs_say_why(federation, monkeypatch):
    asked = Envelope("hello", federation.agreement.digest, "run", 0, NODE, "nonce")
    with monkeypatch.context() as patch:
        patch.setattr("ufgraphfr.deploy.wire.message.SCHEMA", Schema("wire", (dict,) * 8))
        message = pack(asked)
    with pytest.raises(Malformed, match="the message " + UPGRADE.format("wire", 1)):
        unpack(message)
    agent = Agent(federation.shard(NODE))
    reply = agent.answer(message)
    line = json.loads(federation.shard(NODE).audit.read_text())
    assert (line["code"], "upgrade ufgraphfr" in line["reason"]) == ("refused", True)
    with pytest.raises(Malformed, match="could not read the request"):
        matched(asked, reply)
    assert matched(asked, agent.answer(pack(asked))).code == "ok"


def test_both_documents_are_read_together(federation):
    server = federation.folder.server
    agreement, catalogue = read_documents(server.agreement, server.catalogue)
    assert (agreement, catalogue) == (federation.agreement, federation.catalogue)
