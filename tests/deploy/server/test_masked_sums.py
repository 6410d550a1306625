"""The server's half of secure sums: whom it asks, and what it refuses."""

import json
from dataclasses import replace

import pytest
import torch
from small_federation import LocalEngine, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.server.handshake import TooFewReplies
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.wire.message import pack, unpack
from ufgraphfr.deploy.wire.payload import decode_arrays, encode_arrays
from ufgraphfr.privacy.accounted.layout import layout
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.noise import grid_step

NAMES = ("node-1", "node-2", "node-3", "node-4")


ALONE = {"kind": "secure-sum", "shards": 4}
PRIVATE = {
    **{"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "clip": 1.0},
    **{"trust": "secure-sum", "shards": 4, "tolerate": 1},
}


def masked(path, min_users=1, privacy=ALONE, **changes):
    values = toy_values(algorithm={"kind": "fedmf", "dim": 4}, **changes)
    values["privacy"] = privacy
    federation = federate(path, values, names=NAMES)
    if min_users > 1:
        federation.agreement = replace(federation.agreement, min_users=min_users)
        for folder in (federation.folder.server, *map(federation.shard, NAMES)):
            federation.agreement.write(folder.agreement)
        for name in NAMES:
            federation.shard(name).sign(federation.agreement.digest)
    return federation


def asked(engine):
    """Nodes that were asked to train, by round."""
    found = {}
    for node, chunks in engine.asked:
        request = unpack(chunks)
        if request.kind == "train":
            found.setdefault(request.round, set()).add(node)
            assert request.facts["secure"]["epochs"].keys() >= {node}
    return found


def test_nodes_that_would_have_to_refuse_are_left_out_and_counted(tmp_path):
    federation = masked(tmp_path, min_users=4, federation={"cohort": 18, "rounds": 5})
    engine = LocalEngine(federation.agents())
    federation.run(engine)
    rounds = asked(engine)
    # of 18 users at four nodes some node has fewer than four now and then
    left_out = sum(len(NAMES) - len(nodes) for nodes in rounds.values())
    assert left_out > 0
    assert min(map(len, rounds.values())) >= 3
    assert (
        sum(read_metrics(federation.folder.server.metrics)["missed_by_node"].values()) == left_out
    )


def test_a_cohort_that_is_always_of_too_few_nodes_is_refused_with_its_number(tmp_path):
    federation = masked(tmp_path, min_users=5, federation={"cohort": 10})
    with pytest.raises(InputError, match="asks 10 users, which can never be 5 at each of 3 nodes"):
        federation.run(LocalEngine(federation.agents()))


def test_a_node_that_is_away_is_waited_for_and_the_others_send_the_same_again(tmp_path):
    federation, sent = masked(tmp_path), {}

    def kept(node, number, chunks):
        reply = unpack(chunks)
        if reply.kind == "train":
            assert sent.setdefault((node, number), reply.parts) == reply.parts
        return [chunks]

    agents = federation.agents()
    population = LocalEngine(agents)
    federation.population(population)
    some = {node: agents[node] for node in NAMES[1:]}
    for _ in range(2):
        with pytest.raises(TooFewReplies, match="no usable reply of node-1"):
            federation.run(LocalEngine(some, changed=kept))
    out = federation.run(LocalEngine(agents, changed=kept))
    assert len(sent) == 4 * 4
    assert json.loads((out / "result.json").read_text())["best_round"]


def tampered(change):
    def changed(node, _, chunks):
        reply = unpack(chunks)
        if node != NAMES[0] or reply.kind != "train":
            return [chunks]
        arrays = change(decode_arrays(reply.parts[0]))
        return [pack(replace(reply, parts=(encode_arrays(arrays),)))]

    return changed


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays | {"clients": torch.tensor([99])},
        lambda arrays: arrays | {"clients": torch.tensor([], dtype=torch.int64)},
        lambda arrays: arrays | {"clients": arrays["clients"].flip(0)},
        lambda arrays: arrays | {"more": torch.zeros(1)},
        lambda arrays: {n: v if n == "clients" else v[:-1] for n, v in arrays.items()},
        lambda arrays: {n: v if n == "clients" else v.long() for n, v in arrays.items()},
        lambda arrays: {n: v if n == "clients" else v[:, :4] for n, v in arrays.items()},
    ],
)
def test_a_reply_of_another_form_is_none(change, tmp_path):
    federation = masked(tmp_path)
    with pytest.raises(TooFewReplies, match="no usable reply of node-1"):
        federation.run(LocalEngine(federation.agents(), changed=tampered(change)))
    assert read_metrics(federation.folder.server.metrics)["missed_by_node"] == {NAMES[0]: 1}


def test_a_round_whose_users_are_at_too_few_nodes_is_left_out_and_said(tmp_path, caplog):
    federation = masked(tmp_path, min_users=5, federation={"cohort": 18, "rounds": 2})
    engine = LocalEngine(federation.agents())
    with pytest.raises(InputError, match="no reply was accepted in any of 2 rounds"):
        federation.run(engine)
    assert not asked(engine)
    assert "round 1 is left out: its users are at 2 nodes" in caplog.text


def test_each_node_adds_a_share_that_follows_from_the_nodes_in_the_total(tmp_path, monkeypatch):
    drawn = []

    def noise(count, sigma, *_):
        drawn.append(sigma)
        return torch.zeros(count, dtype=torch.int64)

    monkeypatch.setattr("ufgraphfr.privacy.central_jdp.secure_noise", noise)
    five = {"cohort": 18, "rounds": 5}
    federation = masked(tmp_path, min_users=4, privacy=PRIVATE, federation=five)
    engine = LocalEngine(federation.agents())
    federation.run(engine)
    guarantee = Ledger(federation.shard(NAMES[0]).ledger).guarantee
    noise_of_all = guarantee["parts"]["update"]["noise_multiplier"]
    found = layout(18, noise_of_all * (4 / 3) ** 0.5)
    expected = []
    for nodes in asked(engine).values():
        # one may collude: the others' shares are the noise that is paid for
        sigma = noise_of_all / grid_step(1.0, found.bits) / (len(nodes) - 1) ** 0.5
        expected += [sigma] * len(nodes)
    assert len({round(sigma) for sigma in expected}) == 2
    assert drawn == pytest.approx(expected)
