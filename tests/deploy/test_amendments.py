"""An agreement is amended: signed off at each node, followed by its agent, and never back."""

import hashlib
import json
import shutil

import pytest
import torch
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.deploy.agent.models import Models
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.agreement.amendment import Amendment, read_amendment
from ufgraphfr.deploy.agreement.chain import place_of, read_agreement, read_documents
from ufgraphfr.deploy.operations import authority, launcher
from ufgraphfr.deploy.operations.amend import Changes, amend
from ufgraphfr.deploy.operations.certificates import fingerprint, write_node_key, write_server
from ufgraphfr.deploy.server.continuing import begin_next
from ufgraphfr.deploy.server.handshake import TooFewReplies
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.server.releases import Releases
from ufgraphfr.deploy.server.run import run
from ufgraphfr.serve.recommender import Recommender

NODE = NODES[0]
FEDMF = toy_values(algorithm={"kind": "fedmf", "dim": 4, "lr": 0.05})
KEY = "SHA256:" + "A" * 43


@pytest.fixture
def federation(tmp_path):
    return federate(tmp_path / "d", FEDMF, spare=5, startup_timeout=0.1, quorum=1.0)


def signed(federation, *nodes):
    digest = read_agreement(federation.folder.server.agreement).digest
    for node in nodes or NODES:
        federation.shard(node).sign(digest)
    return digest


def finished(federation, agents=None):
    engine = LocalEngine(agents or federation.agents())
    run(federation.folder.server, engine)
    return engine


def items_file(federation, path, more=2):
    """All agreed items in another order, and some more."""
    catalogue = read_documents(
        federation.folder.server.agreement, federation.folder.server.catalogue
    ).catalogue
    assert isinstance(catalogue, Catalogue)
    names = [f"new{n}" for n in range(more)] + list(catalogue.items[::-1])
    features = sorted(catalogue.features)
    values = {
        name: dict(zip(catalogue.items, own, strict=True))
        for name, own in catalogue.features.items()
    }
    lines = [
        ",".join(
            [name, f"title {name}", *("|".join(values[f].get(name, ("x",))) for f in features)]
        )
        for name in names
    ]
    path.write_text("\n".join([",".join(["item", "title", *features]), *lines]) + "\n")
    return path


def test_a_run_goes_on_under_an_amendment_once_it_is_signed_off(federation):
    agents = federation.agents()
    federation.run(LocalEngine(agents), stop_after=2)
    before = federation.agreement.digest
    after = amend(federation.folder, Changes(software="0.1.0")).agreement
    assert after.digests == (before, after.digest)
    signed(federation, NODES[1])
    with pytest.raises(TooFewReplies, match="node-1 refused"):
        run(federation.folder.server, LocalEngine(agents))
    audit = federation.shard(NODE).audit.read_text().splitlines()
    assert "an amendment that is not signed off here" in json.loads(audit[-1])["reason"]
    signed(federation, NODE)
    # the agents that run follow, without a start
    run(federation.folder.server, LocalEngine(agents))
    metrics = read_metrics(federation.folder.server.metrics)
    assert (metrics["state"], metrics["release"], metrics["unpublished"]) == ("finished", 1, [])
    # one run: nobody was trained twice, and the release names what it was trained under
    assert Releases(federation.folder.server.releases).last().agreement == before
    assert Participants.read(federation.folder.server.participants).run == before[:16]
    # the document before is acted on no longer, also after a new start
    asked = LocalEngine(federation.agents())
    for path in place_of(federation.folder.server.agreement, 1):
        path.unlink(missing_ok=True)
    run(federation.folder.server, asked)
    assert read_metrics(federation.folder.server.metrics)["unpublished"] == list(NODES)


def test_only_the_digest_of_the_last_document_signs(federation):
    shard = federation.shard(NODE)
    amend(federation.folder, Changes(software="0.1.0"))
    first = read_agreement(shard.agreement).digest
    amend(federation.folder, Changes(leave=(NODES[1],)))
    assert [each.number for each in shard.unsigned()] == [1, 2]
    with pytest.raises(InputError, match=r"2\.toml, which is"):
        shard.sign(first)
    assert shard.is_signed
    shard.sign(read_agreement(shard.agreement).digest)
    assert shard.unsigned() == ()
    assert shard.signed()[1].software == "0.1.0"
    # a node that left signs nothing, and is told
    other = federation.shard(NODES[1])
    assert not place_of(other.agreement, 2)[0].exists()
    shutil.copytree(shard.path / "amendments", other.path / "amendments", dirs_exist_ok=True)
    with pytest.raises(InputError, match="knows no node 'node-2'"):
        other.sign(read_agreement(other.agreement).digest)


def test_a_chain_that_was_changed_or_has_a_hole_is_refused(federation):
    path = federation.folder.server.agreement
    amend(federation.folder, Changes(software="0.1.0"))
    amend(federation.folder, Changes(software="0.1.1"))
    one = place_of(path, 1)[0]
    content = one.read_bytes()
    one.write_bytes(content.replace(b"0.1.0", b"0.1.9"))
    with pytest.raises(InputError, match="copy all amendments again"):
        read_agreement(path)
    one.write_bytes(content + b'more = "x"\n')
    with pytest.raises(InputError, match="knows no more"):
        read_agreement(path)
    one.write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a readable amendment"):
        read_agreement(path)
    with pytest.raises(InputError, match="changes nothing"):
        Amendment(1, "0" * 64)
    with pytest.raises(InputError, match="another form"):
        Amendment(1, "0" * 64, keys={NODE: "SHA256:short"})


def test_a_node_joins_with_the_next_run_and_another_one_leaves(federation, tmp_path):
    engine = finished(federation)
    folder = federation.folder
    with pytest.raises(InputError, match="given out twice"):
        amend(folder, Changes(join=((NODE, 10),)))
    documents = amend(folder, Changes(join=(("shop", 10),), leave=(NODES[1],)))
    joined = documents.agreement.node("shop")
    assert (joined.first, documents.agreement.clients) == (40, 50)
    assert (folder.path / "systemd" / "ufgraphfr-agent-shop.service").exists()
    signed(federation, NODE, "shop")
    table = tmp_path / "rows.csv"
    rows = "".join(f"u{u},i{(u * 3 + k) % 40},{k}\n" for u in range(100, 104) for k in range(5))
    table.write_text("user,item,timestamp\n" + rows)
    federation.shard("shop").import_table(table, None)
    begin_next(folder.server)
    engine.agents = {NODE: engine.agents[NODE], "shop": Agent(federation.shard("shop"))}
    run(folder.server, engine)
    metrics = read_metrics(folder.server.metrics)
    assert (metrics["state"], metrics["nodes"], metrics["release"]) == ("finished", 2, 2)
    clients = Participants.read(folder.server.participants).clients
    assert clients["shop"].tolist() == [40, 41, 42, 43]
    assert Models(federation.shard("shop").models).current == 2
    # the node that left goes on serving what it has
    assert len(Recommender.at_node(federation.shard(NODES[1])).recommend("u20")) == 10


def test_a_run_ends_without_a_node_that_was_lost_for_good(federation):
    agents = federation.agents()
    federation.run(LocalEngine(agents), stop_after=2)
    del agents[NODES[1]]
    amend(federation.folder, Changes(leave=(NODES[1],)))
    signed(federation, NODE)
    run(federation.folder.server, LocalEngine(agents))
    metrics = read_metrics(federation.folder.server.metrics)
    assert (metrics["state"], metrics["nodes"], metrics["unpublished"]) == ("finished", 1, [])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fedmf", "ufgraphformer", "ufgraphfr", "gpfedrec", "lightgcn"])
def test_a_catalogue_grows_between_two_runs(kind, tmp_path):
    federation = federate(tmp_path / "d", toy_values(algorithm={"kind": kind}), spare=5)
    folder, shard = federation.folder, federation.shard(NODE)
    engine = LocalEngine(federation.agents())
    federation.run(engine, stop_after=1)
    with pytest.raises(InputError, match="between two runs"):
        amend(folder, Changes(items=items_file(federation, tmp_path / "items.csv")))
    run(folder.server, engine)
    before = Releases(folder.server.releases)
    trained = before.memory(before.last())
    documents = amend(folder, Changes(items=tmp_path / "items.csv"))
    assert documents.catalogue.items[40:] == ("new0", "new1")
    table = tmp_path / "rows.csv"
    table.write_text("user,item,timestamp\n" + "".join(f"u0,new{n},{90 + n}\n" for n in (0, 1)))
    with pytest.raises(InputError, match="is not in the catalogue"):
        shard.import_table(table, None)
    signed(federation)
    assert shard.import_table(table, None).interactions == 2
    # what is served is of before, and so is what is counted
    assert "new0" not in Recommender.at_node(shard).catalogue.items
    assert len(Recommender.at_node(shard).recommend("u0")) == 10
    begin_next(folder.server)
    run(folder.server, engine)
    metrics = read_metrics(folder.server.metrics)
    assert (metrics["state"], metrics["release"], metrics["untold"]) == ("finished", 2, 0)
    assert metrics["replies_rejected"] == 0
    served = Recommender.at_node(shard)
    assert served.catalogue.items[40:] == ("new0", "new1")
    assert len(served.recommend("u1")) == 10
    assert trained.keys() == before.memory(before.last()).keys()


def test_what_was_trained_is_the_beginning_of_what_grows():
    from ufgraphfr.ops.grown import grown

    fresh, before = torch.zeros(4, 3), torch.ones(2, 3)
    assert grown(fresh, before).tolist() == [[1] * 3, [1] * 3, [0] * 3, [0] * 3]
    assert fresh.sum() == 0
    assert grown(fresh, torch.ones(5, 3)) is fresh
    assert grown(fresh, torch.ones(4)) is fresh


def test_a_catalogue_loses_nothing(federation, tmp_path):
    path = items_file(federation, tmp_path / "items.csv")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match="lacks 'i0' and 0 more"):
        amend(federation.folder, Changes(items=path))
    with pytest.raises(InputError, match="nothing grows"):
        amend(federation.folder, Changes(items=items_file(federation, path, more=0)))


def test_a_key_is_rotated_and_no_other_registered(federation, monkeypatch):
    folder, said = federation.folder, list[tuple[str, ...]]()

    def flwr(_folder, key, *words):
        said.append(words)
        return [{"node-id": 1}, {"node-id": 2}] if key == "nodes" else len(said)

    monkeypatch.setattr(launcher, "_flwr", flwr)
    launcher.register(folder)
    assert folder.server.read_nodes() == {NODE: 1, NODES[1]: 2}
    node = folder.node(NODE)
    node.key.unlink()
    write_node_key(node.key, node.public_key)
    amend(folder, Changes(keys=(NODE,)))
    assert read_agreement(folder.server.agreement).keys == {NODE: fingerprint(node.public_key)}
    launcher.register(folder)
    assert ("supernode", "unregister", "1") in said
    assert folder.server.read_nodes()[NODES[1]] == 2
    assert folder.server.read_keys()[NODE] == fingerprint(node.public_key)
    # a key that nobody agreed on
    node.key.unlink()
    write_node_key(node.key, node.public_key)
    with pytest.raises(InputError, match="was agreed on for node-1"):
        launcher.register(folder)


def test_an_older_release_than_was_agreed_on_does_not_start(federation):
    amend(federation.folder, Changes(software="99.0.0"))
    signed(federation)
    with pytest.raises(InputError, match="the agreement asks for"):
        run(federation.folder.server, LocalEngine({}))
    with pytest.raises(InputError, match="install it"):
        Agent(federation.shard(NODE))._signed(
            read_agreement(federation.folder.server.agreement).digest
        )


def test_the_authority_is_made_anew_by_an_amendment(federation):
    before = (federation.folder.server.tls / "ca.crt").read_bytes()
    agreed = amend(federation.folder, Changes(authority=True)).agreement
    after = (federation.folder.server.tls / "ca.crt").read_bytes()
    assert before != after == federation.folder.node(NODE).ca.read_bytes()
    assert read_amendment(place_of(federation.shard(NODE).agreement, 1)[0]).authority
    assert agreed.authority == agreed.amendments[0].authority != "0" * 64


@pytest.mark.parametrize("handed_out", [False, True])
def test_a_kill_while_the_authority_is_made_anew_leaves_the_agreed_one(
    handed_out, federation, monkeypatch
):
    folder = federation.folder
    before = (folder.server.tls / "ca.crt").read_bytes()
    with monkeypatch.context() as patch:
        killed = "authority.settle" if handed_out else "_hand_out"
        calls = []

        def dies(*given):
            calls.append(given)
            # the first look finds nothing to settle
            if not handed_out or len(calls) > 1:
                raise KeyboardInterrupt

        patch.setattr(f"ufgraphfr.deploy.operations.amend.{killed}", dies)
        with pytest.raises(KeyboardInterrupt):
            amend(folder, Changes(authority=True))
    assert (folder.server.tls / "ca.crt").read_bytes() == before
    assert folder.next_authority.exists()
    authority.settle(folder)
    after = (folder.server.tls / "ca.crt").read_bytes()
    agreed = read_agreement(folder.server.agreement).authority
    if handed_out:
        assert hashlib.sha256(after).hexdigest() == agreed
        assert folder.node(NODE).ca.read_bytes() == after != before
        # the key that is there signs for it
        write_server(folder.server.tls, folder.authority, "localhost")
    else:
        assert (after, agreed) == (before, "")
    assert not folder.next_authority.exists()
