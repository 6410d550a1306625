"""An agreement survives its file, and lets nothing in that a deployment cannot do."""

import tomllib
from dataclasses import replace

import pytest
import tomli_w
from small_federation import federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.catalogue import read_catalogue
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agreement.chain import read_agreement
from ufgraphfr.deploy.agreement.document import make
from ufgraphfr.deploy.agreement.node import Node
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.init import draft_tryout
from ufgraphfr.experiment import build


def test_round_trip(federation):
    path = federation.folder.server.agreement
    found = read_agreement(path)
    assert found == federation.agreement
    assert found.digest == federation.agreement.digest
    assert read_catalogue(federation.folder.server.catalogue) == federation.catalogue


def test_every_setting_is_in_the_digest(federation):
    agreement = federation.agreement
    others = [
        replace(agreement, min_users=7),
        replace(agreement, metrics="none"),
        replace(agreement, catalogue="0" * 64),
        replace(agreement, nodes=(Node("node-1", 0, 30),)),
        replace(agreement, experiment=build(toy_values(federation={"rounds": 5}))),
        replace(agreement, experiment=build(toy_values(algorithm={"adam": {"lr": 0.5}}))),
    ]
    assert len({agreement.digest, *(other.digest for other in others)}) == len(others) + 1


@pytest.mark.parametrize("sequential", [True, False])
def test_all_parties_know_whether_order_means_something(federation, sequential):
    table = federation.agreement.table.model_copy(update={"sequential": sequential})
    agreement = replace(federation.agreement, table=table)
    assert agreement.setting(federation.catalogue, embed_titles=False).sequential is sequential


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"algorithm": {"kind": "ease"}}, "needs everybody's rows"),
        ({"protocol": {"negatives": "legacy-leaky"}}, "honest negatives"),
        ({"protocol": {"cold_users": 0.1}}, "without cold users"),
        ({"protocol": {"split": "global-time"}}, "leave-one-out"),
        ({"evaluation": {"users": 5}}, "asks all users"),
    ],
)
def test_what_a_deployment_cannot_do_is_refused(change, message, federation):
    agreement = federation.agreement
    values = toy_values() | change
    with pytest.raises(InputError, match=message):
        make(build(values), agreement.catalogue, agreement.nodes, agreement.table)


@pytest.mark.parametrize(
    "table",
    [
        {"algorithm": {"kind": "evil.Model"}},
        {"text": {"kind": "evil.Model"}},
        {"federation": {"defence": {"kind": "evil.Model"}}},
        {"evaluation": {"baselines": ["popularity", "evil.Model"]}},
        {"evaluation": {"metrics": ["evil.Model@5"]}},
    ],
)
def test_code_that_a_document_names_is_never_imported(table, federation, tmp_path, monkeypatch):
    """Also where it can be imported: a node runs what its operator has installed."""
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    monkeypatch.syspath_prepend(str(tmp_path))
    agreement = federation.agreement
    values = tomllib.loads(agreement.document.decode())
    values["experiment"] |= table
    path = tmp_path / "agreement.toml"
    path.write_text(tomli_w.dumps(values))
    with pytest.raises(InputError, match=r"= 'evil.Model(@5)?' is not of this package"):
        read_agreement(path)


def test_an_agreement_on_code_of_ones_own_is_not_made(federation, tmp_path, monkeypatch):
    text = "from ufgraphfr.algorithms.fedmf import FedMF\n\nclass Mine(FedMF):\n    pass\n"
    (tmp_path / "agreed_kind.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    own = build(toy_values() | {"algorithm": {"kind": "agreed_kind.Mine"}})
    agreement = federation.agreement
    with pytest.raises(InputError, match=r"algorithm.kind = 'agreed_kind.Mine' is not of"):
        make(own, agreement.catalogue, agreement.nodes, agreement.table)


def test_an_agreement_on_a_metric_of_ones_own_is_not_made(federation, tmp_path, monkeypatch):
    text = "from ufgraphfr.evaluation.metrics.mrr import MRR\n\nclass Mine(MRR):\n    pass\n"
    (tmp_path / "agreed_metric.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    own = build(toy_values(evaluation={"metrics": ["agreed_metric.Mine"]}))
    agreement = federation.agreement
    with pytest.raises(InputError, match=r"'agreed_metric.Mine' is not of this package"):
        make(own, agreement.catalogue, agreement.nodes, agreement.table)


def test_centralised_baselines_are_left_out(federation):
    agreement = federation.agreement
    asked = build(toy_values(evaluation={"baselines": ["popularity", "ease"]}))
    given = asked, agreement.catalogue, agreement.nodes, agreement.table
    # each node can count its own, if its sums may leave
    made = make(*given, metrics="sums")
    assert [each.kind for each in made.experiment.baselines] == ["popularity"]
    assert make(*given, metrics="none").experiment.baselines == ()


@pytest.mark.parametrize("text", ["", "schema = 1", "not toml", 'schema = "ufgraphfr-agreement-1"'])
def test_a_damaged_file_is_named(text, tmp_path):
    path = tmp_path / "agreement.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"agreement\.toml is"):
        read_agreement(path)


def test_a_catalogue_that_was_not_agreed_on_is_refused(federation):
    shard = federation.shard("node-1")
    replace(federation.catalogue, titles=federation.catalogue.titles[::-1]).write(shard.catalogue)
    with pytest.raises(InputError, match="not the catalogue that was agreed on"):
        shard.signed()


def test_a_folder_that_is_no_shard_is_named(tmp_path):
    with pytest.raises(InputError, match="is no shard"):
        ShardFolder(tmp_path).signed()


def test_nodes_share_the_users_among_them(tmp_path):
    drafted = draft_tryout(build(toy_values()), 4, Deployment(tmp_path / "d"))
    nodes = drafted.agreement.nodes
    assert [node.first for node in nodes] == [0, 8, 15, 23]
    assert sum(node.clients for node in nodes) == drafted.agreement.clients == 30
    with pytest.raises(InputError, match="--nodes 31: 30 users"):
        draft_tryout(build(toy_values()), 31, Deployment(tmp_path / "e"))


def test_a_second_deployment_is_not_written_over_the_first(federation):
    with pytest.raises(InputError, match="holds a deployment already"):
        federate(federation.folder.path, toy_values())
