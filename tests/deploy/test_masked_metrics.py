"""The test's metrics under a guarantee and masks: the server sees one noised total of all nodes."""

import json

import pytest
import torch
from small_federation import Federation, LocalEngine, toy_values

from ufgraphfr.deploy.agent.masked_handlers import MaskedHandlers
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.init import draft_tryout, write
from ufgraphfr.deploy.operations.launcher import set_up_node
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.deploy.wire import pads
from ufgraphfr.deploy.wire.message import pack, unpack
from ufgraphfr.deploy.wire.payload import decode_arrays
from ufgraphfr.experiment import build
from ufgraphfr.privacy.accounted.ledger import Ledger

NAMES = ("node-1", "node-2", "node-3")
ROUNDS = 2
PRIVATE = {
    **{"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "clip": 1.0},
    **{"trust": "secure-sum", "shards": 3},
}


def deployed(path, metrics):
    values = toy_values(algorithm={"kind": "fedmf", "dim": 4}, federation={"rounds": ROUNDS})
    folder = Deployment(path)
    documents = draft_tryout(build(values | {"privacy": PRIVATE}), 3, folder, metrics=metrics)
    write(folder, documents, ServerSettings(round_timeout=2.0, startup_timeout=0.1))
    for node in NAMES:
        set_up_node(folder, node)
    federation = Federation(folder, *documents, names=NAMES)
    federation.settings = folder.server.read_settings()
    return federation


def of_test(out):
    """Of a run under a guarantee, what is not noised is in its personal folder."""
    path = out / "personal" / "result.json"
    return json.loads((path if path.exists() else out / "result.json").read_text())["test"]


@pytest.mark.usefixtures("quiet")
def test_without_noise_they_are_the_consented_ones(tmp_path):
    found = [
        of_test(federation.run(LocalEngine(federation.agents())))
        for federation in (deployed(tmp_path / "a", "noised"), deployed(tmp_path / "b", "sums"))
    ]
    for name, value in found[0]["full"].items():
        # each user's are cut to the grid before they are added
        assert value == pytest.approx(found[1]["full"][name], abs=1e-3)
    assert found[0]["full"].keys() >= {"ndcg@10", "hr@10"}


def test_no_nodes_part_can_be_read_and_it_is_paid_for_once(tmp_path, monkeypatch):
    federation, replies = deployed(tmp_path, "noised"), {}

    def kept(node, _, chunks):
        if unpack(chunks).kind == "evaluate":
            replies[node] = unpack(chunks)
        return [chunks]

    plain, masked = {}, MaskedHandlers._in_steps

    def steps(self, report, nodes):
        plain[self._name, report.round] = masked(self, report, nodes)
        return plain[self._name, report.round]

    monkeypatch.setattr(MaskedHandlers, "_in_steps", steps)
    engine = LocalEngine(federation.agents(), changed=kept)
    out = federation.run(engine)
    assert 0 <= of_test(out)["full"]["ndcg@10"] <= 1
    sent = {n: decode_arrays(reply.parts[0])["sum.metrics"] for n, reply in replies.items()}
    width = sent[NAMES[0]].shape[1]
    each = {node: pads.from_bytes(value.numpy()) for node, value in sent.items()}
    whole = {node: plain[node, ROUNDS + 1]["metrics"] for node in NAMES}
    for node in NAMES:
        assert not torch.equal(torch.from_numpy(pads.signed(each[node], width)), whole[node])
    total = pads.signed(sum(each.values()), width)
    assert torch.equal(torch.from_numpy(total), sum(whole.values()))
    for path in (out / "ledger.jsonl", *(federation.shard(node).ledger for node in NAMES)):
        assert [spend["round"] for spend in Ledger(path).spends] == [1, 2, 3]
    # asked again, the same bytes; under other nodes or another attempt, nothing
    (asked,) = (
        chunks
        for node, chunks in engine.asked
        if node == NAMES[0] and unpack(chunks).kind == "evaluate"
    )
    agent = Agent(federation.shard(NAMES[0]))
    assert unpack(agent.answer(asked)).parts == replies[NAMES[0]].parts
    request = unpack(asked)
    request.facts["secure"]["attempt"] = 2
    assert unpack(agent.answer(pack(request))).code == "refused"


def test_a_node_that_is_lost_at_the_test_costs_the_metrics_and_not_the_run(tmp_path):
    federation = deployed(tmp_path, "noised")
    engine = LocalEngine(federation.agents())

    def silent(node, _, chunks):
        return [] if node == NAMES[0] and unpack(chunks).kind == "evaluate" else [chunks]

    engine.changed = silent
    out = federation.run(engine)
    assert of_test(out) is None
    assert read_metrics(federation.folder.server.metrics)["untold"] == 1
    assert [spend["round"] for spend in Ledger(out / "ledger.jsonl").spends] == [1, 2, 3]
