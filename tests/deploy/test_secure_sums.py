"""Secure sums over three agents: the total is exact, and no part of it can be read or had twice."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from small_federation import LocalEngine, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.server.handshake import TooFewReplies
from ufgraphfr.deploy.wire import pads
from ufgraphfr.deploy.wire.message import pack, unpack
from ufgraphfr.deploy.wire.payload import decode_arrays
from ufgraphfr.experiment import build, execute
from ufgraphfr.privacy.accounted.ledger import Ledger

NAMES = ("node-1", "node-2", "node-3")
MASKED = {"trust": "secure-sum", "shards": 3}
PRIVATE = {"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "clip": 1.0, **MASKED}
FEDMF = {"kind": "fedmf", "dim": 4, "lr": 0.05}


def values(privacy=PRIVATE, **changes):
    return toy_values(algorithm=FEDMF, **changes) | {"privacy": privacy}


def masked(path, privacy=PRIVATE, **changes):
    return federate(path, values(privacy, **changes), names=NAMES)


def run(federation, **more):
    return federation.run(LocalEngine(federation.agents(), **more))


def result(out):
    return json.loads((out / "result.json").read_text())


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("privacy", [PRIVATE, {"kind": "secure-sum", "shards": 3}])
def test_without_noise_a_deployment_gives_what_the_simulation_gives(privacy, tmp_path):
    list(execute(build(values(privacy)), tmp_path / "simulated", device="cpu"))
    federation = masked(tmp_path / "deployed", privacy)
    out = run(federation)
    one, other = (model(path) for path in (tmp_path / "simulated", out))
    assert one.keys() == other.keys()
    exact = privacy is PRIVATE
    for name, value in one.items():
        # un-noised sums are of floats in the simulation, and of whole steps here
        assert torch.equal(value, other[name]) if exact else torch.allclose(value, other[name])


def model(out):
    found = load_file(out / "model.safetensors")
    return {name: value for name, value in found.items() if name.startswith("server/")}


@pytest.fixture
def one_round(tmp_path):
    """A federation, the requests of its first round by node, and what the agents replied."""
    federation, replies = masked(tmp_path / "d", federation={"rounds": 2}), {}

    def changed(node, _, chunks):
        replies.setdefault(node, unpack(chunks)) if unpack(chunks).kind == "train" else None
        return [chunks]

    engine = LocalEngine(federation.agents(), changed=changed)
    federation.run(engine, stop_after=1)
    asked = {node: unpack(chunks) for node, chunks in engine.asked if is_train(chunks)}
    return federation, asked, replies


def is_train(chunks):
    return unpack(chunks).kind == "train"


def numbers(reply):
    arrays = decode_arrays(reply.parts[0])
    (name,) = arrays.keys() - {"clients"}
    return pads.from_bytes(arrays[name].numpy()), arrays[name].shape[1]


def test_single_sums_are_uniform_and_the_total_is_not(one_round):
    _, _, replies = one_round
    width = numbers(replies[NAMES[0]])[1]
    assert width == 4
    each = [numbers(replies[node])[0] for node in NAMES]
    largest = 2.0 ** (8 * width - 1)
    for own in (*each, each[0] + each[1]):
        spread = pads.signed(own, width).std() / largest
        assert 0.4 < spread < 0.75
    total = pads.signed(each[0] + each[1] + each[2], width)
    assert abs(total).max() / largest < 0.2


def test_the_line_of_a_pad_and_the_payment_are_written_and_name_the_reply(one_round):
    federation, _, _ = one_round
    for node in NAMES:
        shard = federation.shard(node)
        first, line = map(json.loads, (shard.path / "pads.jsonl").read_text().splitlines())
        assert first.keys() == {"epoch"}
        (spend,) = Ledger(shard.ledger).spends
        assert line["reply"] == spend["reply"]
        assert (line["round"], line["attempt"], line["nodes"]) == (1, 1, list(NAMES))


def answer(federation, node, request):
    return unpack(Agent(federation.shard(node)).answer(pack(request)))


def reason(federation, node):
    line = federation.shard(node).audit.read_text().splitlines()[-1]
    return json.loads(line)["reason"]


def test_the_same_request_gets_the_same_bytes(one_round):
    federation, asked, replies = one_round
    again = answer(federation, NAMES[0], asked[NAMES[0]])
    assert again.parts == replies[NAMES[0]].parts


def secure(request, **changes):
    facts = request.facts["secure"] | changes
    return replace(request, facts=request.facts | {"secure": facts})


def without(request, node):
    epochs = {k: v for k, v in request.facts["secure"]["epochs"].items() if k != node}
    return secure(request, epochs=epochs)


def of_another(request):
    return secure(request, epochs=request.facts["secure"]["epochs"] | {"node-9": "0" * 64})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: without(r, NAMES[2]), "a total of 2 nodes, where 3"),
        (of_another, "does not know"),
        (lambda r: secure(r, attempt=2), "no reserve was agreed on"),
        (lambda r: replace(r, facts={k: v for k, v in r.facts.items() if k != "secure"}), "total"),
        (lambda r: secure(r, epochs=dict.fromkeys(NAMES, "0" * 64)), "not the one that this run"),
    ],
)
@pytest.mark.parametrize("number", [1, 2])
def test_a_total_that_was_not_agreed_on_is_refused(number, change, said, one_round):
    federation, asked, _ = one_round
    request = change(replace(asked[NAMES[0]], round=number, nonce="another"))
    assert answer(federation, NAMES[0], request).code == "refused"
    if number == 2:
        assert said in reason(federation, NAMES[0])


def test_another_cohort_under_the_same_pads_is_refused(one_round):
    federation, asked, _ = one_round
    request = asked[NAMES[0]]
    other = replace(request, parts=(request.parts[0], asked[NAMES[1]].parts[1]))
    assert answer(federation, NAMES[0], other).code == "refused"
    assert "another request for a round that was answered" in reason(federation, NAMES[0])


def forget_reply(federation, node, tables):
    """As if the database had been put back, and nothing else."""
    with sqlite3.connect(federation.shard(node).database) as db:
        for table in tables:
            db.execute(f"DELETE FROM {table}")


def test_a_record_that_is_there_forbids_a_second_reply_whatever_the_database_says(tmp_path):
    # masks alone, so that no ledger of a budget stands in the way
    federation = masked(tmp_path, {"kind": "secure-sum", "shards": 3})
    engine = LocalEngine(federation.agents())
    federation.run(engine, stop_after=1)
    asked = {node: unpack(chunks) for node, chunks in engine.asked if is_train(chunks)}
    forget_reply(federation, NAMES[0], ["outbox"])
    assert answer(federation, NAMES[0], asked[NAMES[0]]).code == "refused"
    assert "the pads of round 1 were used" in reason(federation, NAMES[0])


@pytest.mark.parametrize("how", ["copied back", "record lost", "token lost"])
def test_a_folder_that_was_put_back_has_other_pads_and_says_so(how, one_round, tmp_path):
    federation, asked, _ = one_round
    shard, node = federation.shard(NAMES[0]).path, NAMES[0]
    if how == "copied back":
        shutil.copytree(shard, tmp_path / "copy")
        shutil.rmtree(shard)
        shutil.copytree(tmp_path / "copy", shard)
    else:
        (shard / {"record lost": "pads.jsonl", "token lost": "pads.epoch"}[how]).unlink()
    request = replace(asked[node], round=2, nonce="another")
    reply = answer(federation, node, request)
    assert (reply.code, reply.facts["reason"]) == ("refused", "restored")
    with pytest.raises(TooFewReplies, match="node-1 refused, and a secure sum needs every node"):
        run(federation)


KILLED = """
import os, signal, sys
from pathlib import Path
from ufgraphfr.deploy.agent import pad_book
from ufgraphfr.deploy.agent.shard import Agent, ShardFolder
agent, write, when = Agent(ShardFolder(Path(sys.argv[1]))), pad_book.append_line, sys.argv[2]
def killed(path, line):
    if when == "after":
        write(path, line)
    os.kill(os.getpid(), signal.SIGKILL)
pad_book.append_line = killed
agent.answer([Path(name).read_bytes() for name in sys.argv[3:]])
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_the_line_of_a_pad_loses_nothing_and_sends_one_reply(when, tmp_path):
    federation = masked(tmp_path / "d")
    agents = federation.agents()
    engine = LocalEngine({node: agents[node] for node in NAMES})
    federation.population(engine)
    dead = {node: agent for node, agent in agents.items() if node != NAMES[0]}
    with pytest.raises(TooFewReplies, match="no usable reply of node-1"):
        federation.run(LocalEngine(dead))
    probe = LocalEngine(dead)
    with pytest.raises(TooFewReplies):
        federation.run(probe)
    (request,) = [chunks for node, chunks in probe.asked if node == NAMES[0]]
    files = [tmp_path / str(place) for place, _ in enumerate(request)]
    for path, chunk in zip(files, request, strict=True):
        path.write_bytes(chunk)
    shard = federation.shard(NAMES[0])
    command = [sys.executable, "-c", KILLED, str(shard.path), when, *map(str, files)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not Ledger(shard.ledger).spends
    (kept,) = (ShardStore(shard.database).answered(unpack(request).run, 1, "train"),)
    first = unpack(Agent(shard).answer(request))
    assert (first.code, first.parts) == ("ok", (kept[1],))
    assert len((shard.path / "pads.jsonl").read_text().splitlines()) == 2
    assert result(run(federation))["privacy"]["trust"] == "secure-sum"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"algorithm": {"kind": "pfedrec", "dim": 4}}, "needs each"),
        ({"federation": {"upload": {"clip": 0.05}}}, "leave"),
    ],
)
@pytest.mark.parametrize("privacy", [PRIVATE, {"kind": "secure-sum", "shards": 3}])
def test_what_cannot_be_masked_is_refused(privacy, changes, said, tmp_path):
    with pytest.raises(InputError, match=said):
        federate(
            tmp_path, values(privacy) | toy_values(**changes) | {"privacy": privacy}, names=NAMES
        )


def test_two_nodes_are_refused_with_the_reason(tmp_path):
    with pytest.raises(InputError, match="of two each knows the other's part"):
        federate(tmp_path, values({"kind": "secure-sum", "shards": 2}))
    with pytest.raises(InputError, match="shards = 3"):
        federate(tmp_path / "other", values({"kind": "secure-sum", "shards": 3}))


def test_a_key_that_was_not_agreed_on_is_refused(tmp_path):
    federation = masked(tmp_path)
    (federation.shard(NAMES[0]).path / "pad.key").write_bytes(pads.make_key())
    with pytest.raises(InputError, match="not the pad key that was agreed on"):
        Agent(federation.shard(NAMES[0]))


def test_no_private_key_is_with_the_server(tmp_path):
    federation = masked(tmp_path)
    keys = {(federation.shard(node).path / "pad.key").read_bytes() for node in NAMES}
    assert len(keys) == 3
    for path in federation.folder.server.path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(key in content or key.hex().encode() in content for key in keys)
    agreed = federation.agreement.pad_keys
    assert set(agreed.values()) == {pads.public_half(key) for key in keys}
