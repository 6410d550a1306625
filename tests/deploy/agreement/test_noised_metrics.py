"""Metrics under a guarantee as one release: clipped, noised, charged once, and of one model."""

import json
import math
from dataclasses import replace

import pytest
import torch
from small_federation import NODES, Federation, LocalEngine, toy_values

from ufgraphfr.algorithms.capabilities import scoring_task
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agreement.chain import read_agreement
from ufgraphfr.deploy.agreement.guarantee import METRICS, metrics_norm
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.init import draft_tryout, write
from ufgraphfr.deploy.operations.launcher import set_up_node
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.deploy.wire.message import Envelope, pack, unpack
from ufgraphfr.deploy.wire.payload import (
    decode_arrays,
    digest,
    encode_arrays,
    encode_personal,
    shared_arrays,
)
from ufgraphfr.experiment import build
from ufgraphfr.privacy.accounted.accounting import Gaussian, spent
from ufgraphfr.privacy.accounted.ledger import Ledger

NODE, ROUNDS = NODES[0], 4
PRIVATE = {
    **{"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "clip": 1.0},
    **{"trust": "shard", "shards": 2},
}


@pytest.fixture
def noised(tmp_path):
    values = toy_values(algorithm={"kind": "fedmf", "dim": 4}) | {"privacy": PRIVATE}
    folder = Deployment(tmp_path / "d")
    documents = draft_tryout(build(values), len(NODES), folder, metrics="noised")
    write(folder, documents, ServerSettings())
    for node in NODES:
        set_up_node(folder, node)
    return Federation(folder, *documents)


def ask(federation, part="test", by=0.0, number=ROUNDS):
    agreement, clients = federation.agreement, torch.arange(15)
    setting = agreement.setting(federation.catalogue, embed_titles=False)
    state = agreement.algorithm.init_server(setting)
    task = scoring_task(agreement.algorithm, state, clients, number + 1)
    arrays = {name: value + by for name, value in shared_arrays(task).items()}
    facts = {"shared": {name: digest(value) for name, value in arrays.items()}, "part": part}
    asked = Envelope("evaluate", agreement.digest, "run", number, NODE, "nonce", facts=facts)
    asked = replace(asked, parts=(encode_arrays(arrays), encode_personal(task)))
    return unpack(Agent(federation.shard(NODE)).answer(pack(asked)))


def rounds_paid(federation, node=NODE):
    return [spend["round"] for spend in Ledger(federation.shard(node).ledger).spends]


def test_a_run_pays_for_its_metrics_and_the_promise_holds_with_them(noised):
    out = noised.run(LocalEngine(noised.agents()))
    found = json.loads((out / "personal" / "result.json").read_text())
    assert 0 <= found["test"]["full"]["ndcg@10"] <= 1
    lines = (out / "personal" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["validation"] for line in lines] == [None] * ROUNDS
    assert rounds_paid(noised, NODES[0]) == rounds_paid(noised, NODES[1]) == [1, 2, 3, 4, 5]
    own = Ledger(out / "ledger.jsonl")
    assert [spend["part"] for spend in own.spends] == ["update"] * ROUNDS + [METRICS]
    for guarantee in (own.guarantee, Ledger(noised.shard(NODE).ledger).guarantee):
        parts = guarantee["parts"]
        noise = [part["noise_multiplier"] for part in parts.values()]
        each = [Gaussian(part["participations"]) for part in parts.values()]
        assert spent(each, noise, guarantee["delta"]) == pytest.approx(8.0, rel=1e-6)
        assert parts[METRICS]["clip"] == metrics_norm(noised.agreement.experiment)
    page = (out / "privacy.md").read_text()
    assert "one noised sum of the test's metrics" in page
    (row,) = (line for line in page.splitlines() if line.startswith("| metrics |"))
    assert row.endswith(" 1 |")
    assert "Such a sum protects nobody from the server" in page


def test_the_noise_is_that_of_the_claim_and_no_user_is_longer_than_the_clip(noised):
    mechanism = Agent(noised.shard(NODE))._handlers.mechanism
    part = Ledger(noised.shard(NODE).ledger).guarantee["parts"][METRICS]
    key, numbers = Key(0).at(ROUNDS + 1), 20_000

    def released(rows):
        return mechanism.of_rows(key, rows, torch.tensor([0])).sums[METRICS]

    nothing = released(torch.zeros(1, numbers))
    expected = part["noise_multiplier"] * part["clip"]
    assert float(nothing.double().std()) == pytest.approx(expected, rel=0.03)
    long = torch.full((1, numbers), 1e6)
    moved = released(long) - nothing
    assert float(moved.double().sum()) / math.sqrt(numbers) <= part["clip"] + 10 * expected


def test_the_tests_metrics_leave_once_of_one_model_and_nothing_else_does(noised):
    assert ask(noised, "validation", number=2).code == "refused"
    first = ask(noised)
    assert (first.code, rounds_paid(noised)) == ("ok", [ROUNDS + 1])
    sums = decode_arrays(first.parts[0])["noised"]
    # noise on the grid, not whole numbers of users
    assert bool((sums[:, -1] != sums[:, -1].round()).all())
    assert ask(noised).parts == first.parts
    assert ask(noised, by=1.0).code == "refused"
    assert rounds_paid(noised) == [ROUNDS + 1]
    store = ShardStore(noised.shard(NODE).database)
    store.forget(store.names()[3])
    # what held a forgotten one is gone, and nothing is drawn a second time
    assert (ask(noised).code, rounds_paid(noised)) == ("refused", [ROUNDS + 1])


def test_a_kill_before_the_payment_draws_nothing_again(noised, monkeypatch):
    with monkeypatch.context() as patch:
        broken = "ufgraphfr.deploy.agent.handlers.Handlers.pay"
        patch.setattr(broken, lambda *_: (_ for _ in ()).throw(OSError("no space")))
        assert ask(noised).code == "failed"
    assert rounds_paid(noised) == []
    kept = ShardStore(noised.shard(NODE).database)._db.execute("SELECT reply FROM evaluations")
    assert ask(noised).parts == (kept.fetchone()[0],)
    assert rounds_paid(noised) == [ROUNDS + 1]


def test_noised_metrics_need_a_budget_and_are_read_again(noised, tmp_path):
    path = tmp_path / "agreement.toml"
    noised.agreement.write(path)
    assert read_agreement(path).metrics == "noised"
    with pytest.raises(InputError, match="paid for from a budget"):
        draft_tryout(build(toy_values()), 2, Deployment(tmp_path / "e"), metrics="noised")
