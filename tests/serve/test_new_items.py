"""Items that came into the catalogue after the model was trained are served before the next run."""

import pytest
from sklearn.linear_model import Ridge
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agent.tokens import Tokens
from ufgraphfr.deploy.agreement.chain import read_documents
from ufgraphfr.deploy.operations.amend import Changes, amend
from ufgraphfr.deploy.server.continuing import begin_next
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.run import run
from ufgraphfr.serve.recommender import Recommender
from ufgraphfr.serve.requests import Request

ITEMS, NEW = 40, ("new0", "new1", "new2")
COLD = {"cold_items": {"ridge": 0.5}}
GUARANTEE = {"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "trust": "shard", "shards": 2}


@pytest.fixture(scope="module", params=["plain", "private"])
def federation(request, tmp_path_factory):
    values = toy_values(algorithm=COLD)
    if request.param == "private":
        del values["federation"]["rounds"], values["algorithm"]["graph"]
        values |= {"privacy": GUARANTEE}
    made = federate(tmp_path_factory.mktemp("d") / "d", values, spare=5)
    run(made.folder.server, LocalEngine(made.agents()))
    return made


@pytest.fixture
def before(federation):
    """What each node served before the catalogue grew, which it does once."""
    found = Recommender.at_node(federation.shard(NODES[0]))
    server = federation.folder.server
    if len(read_documents(server.agreement, server.catalogue).catalogue.items) == ITEMS:
        grow(federation)
    return found


def grow(federation):
    catalogue = federation.catalogue
    (feature,) = catalogue.features
    kinds = sorted({value for own in catalogue.features[feature] for value in own})
    old = zip(catalogue.items, catalogue.titles, catalogue.features[feature], strict=True)
    lines = [f"{name},{title},{'|'.join(own)}" for name, title, own in old]
    lines += [f"{name},Work {n},{kinds[n % len(kinds)]}" for n, name in enumerate(NEW)]
    path = federation.folder.path / "more.csv"
    path.write_text("\n".join([f"item,title,{feature}", *lines]) + "\n")
    agreement = amend(federation.folder, Changes(items=path)).agreement
    # who has not signed it off serves what was agreed on
    assert "new0" not in Recommender.at_node(federation.shard(NODES[0])).catalogue.items
    for node in NODES:
        federation.shard(node).sign(agreement.digest)


def scores(recommender, **asked):
    answer = recommender.answer(Request(n=ITEMS + len(NEW), seen=True, **asked))
    return {each.item: each.score for each in answer.recommended}


def test_a_new_item_is_scored_as_known_ones_that_are_like_it(federation, before):
    shard, server = federation.shard(NODES[0]), federation.folder.server
    served = Recommender.at_node(shard)
    agreement, catalogue = read_documents(server.agreement, server.catalogue)
    setting = agreement.setting(catalogue, embed_titles=True)
    part = agreement.algorithm.active_parts[-1]
    public = part.state(setting)["public"].numpy()
    for name in served.people.served()[:5]:
        old, new = scores(before, user=name), scores(served, user=name)
        assert old == {item: new[item] for item in old}
        assert new.keys() - old.keys() == set(NEW)
        known = [old[item] for item in catalogue.items[:ITEMS]]
        oracle = Ridge(alpha=0.5, fit_intercept=False, solver="cholesky")
        expected = oracle.fit(public[:ITEMS].astype(float), known).predict(public[ITEMS:])
        found = [new[item] for item in NEW]
        assert found == pytest.approx(expected, abs=1e-3)
        assert len({round(each, 6) for each in found}) > 1


@pytest.mark.usefixtures("before")
def test_reasons_of_a_new_item_add_up_to_its_score(federation):
    served = Recommender.at_node(federation.shard(NODES[0]))
    (name, *_) = served.people.served()
    for each in served.answer(Request(user=name, n=ITEMS + len(NEW), why=True)).recommended:
        if each.item in NEW:
            assert sum(each.shares.values()) == pytest.approx(each.score, abs=1e-4)


@pytest.mark.usefixtures("before")
def test_the_server_answers_alike_for_a_history(federation):
    node = Recommender.at_node(federation.shard(NODES[0]))
    server = Recommender.open(federation.folder.server.run)
    own = [each["item"] for each in node.named(node.answer(Request(user="u1")).history)]
    found = scores(node, history=own)
    assert set(NEW) < found.keys()
    assert scores(server, history=own) == pytest.approx(found, rel=1e-5, abs=1e-5)


@pytest.mark.usefixtures("before")
def test_whoever_has_a_new_item_is_served_and_not_given_it_again(federation, tmp_path):
    shard = federation.shard(NODES[0])
    (name, *_) = ShardStore(shard.database).names()
    old = scores(Recommender.at_node(shard), user=name)
    (tmp_path / "rows.csv").write_text(f"user,item,timestamp\n{name},new1,99\n")
    shard.import_table(tmp_path / "rows.csv", None)
    served = Recommender.at_node(shard)
    # the model knows nothing of it before the next run
    assert scores(served, user=name) == old
    listed = [each.item for each in served.recommend(name, ITEMS + len(NEW))]
    assert set(NEW) - set(listed) == {"new1"}


@pytest.mark.slow
def test_a_service_that_runs_has_new_items_once_they_are_signed_off(tmp_path):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    pytest.importorskip("httpx2", reason="the client of the tests is not installed")
    from fastapi.testclient import TestClient

    from ufgraphfr.serve.node import ServedNode, create_node_app

    made = federate(tmp_path / "d", toy_values(algorithm=COLD))
    engine = LocalEngine(made.agents())
    run(made.folder.server, engine)
    shard = made.shard(NODES[0])
    token = Tokens(shard.tokens).add("shop")
    with TestClient(create_node_app(ServedNode(shard))) as client:

        def listed():
            answer = client.post(
                "/users/recommend",
                json={"user": "u1", "n": ITEMS + len(NEW)},
                headers={"Authorization": f"Bearer {token}"},
            )
            return {each["item"] for each in answer.json()["recommended"]}

        assert not listed() & set(NEW)
        grow(made)
        assert set(NEW) < listed()
        # and in the next run they are trained on
        begin_next(made.folder.server)
        run(made.folder.server, engine)
        assert read_metrics(made.folder.server.metrics)["release"] == 2
        assert set(NEW) < listed()
