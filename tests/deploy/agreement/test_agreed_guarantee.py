"""A guarantee in a deployment: every node pays from its own ledger and adds all the noise, once."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.server.metrics import prometheus, read_metrics
from ufgraphfr.deploy.wire.message import Envelope, pack, unpack
from ufgraphfr.deploy.wire.payload import digest, encode_arrays, encode_personal, shared_arrays
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.federation import codec
from ufgraphfr.privacy.accounted.ledger import Ledger

PRIVATE = {"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "trust": "shard", "shards": 2}


def private(**changes):
    values = toy_values(algorithm={"kind": "ufgraphformer"}, evaluation={"every": 1})
    values["federation"] = {"rounds": 1}
    return values | {"privacy": PRIVATE | changes}


@pytest.fixture
def guarded(tmp_path):
    return federate(tmp_path / "d", private())


def result(out):
    return json.loads((out / "result.json").read_text())


def test_the_result_states_the_guarantee_and_no_round_or_blend_is_picked(guarded):
    out = guarded.run(LocalEngine(guarded.agents()))
    found = result(out)
    assert found["privacy"]["epsilon"] == pytest.approx(8.0, rel=0.01)
    assert found["privacy"]["trust"] == "shard"
    assert found["best_round"] == 1
    for node in NODES:
        ledger = Ledger(guarded.shard(node).ledger)
        assert ledger.guarantee["epsilon"] == pytest.approx(8.0, rel=0.01)
        assert [spend["round"] for spend in ledger.spends] == [1]
    assert (out / "privacy.md").exists()
    metrics = read_metrics(guarded.folder.server.metrics)
    assert metrics["epsilon_spent"] == metrics["epsilon_budget"] == found["privacy"]["epsilon"]
    assert f"ufgraphfr_epsilon_spent {metrics['epsilon_spent']}" in prometheus(metrics)


def test_a_spent_budget_buys_no_second_run(guarded):
    guarded.run(LocalEngine(guarded.agents()))
    again = replace(guarded, folder=guarded.folder)
    agent = Agent(again.shard(NODES[0]))
    reply = unpack(agent.answer(pack(request(guarded, run="another"))))
    assert (reply.code, reply.parts) == ("refused", ())
    assert [spend["round"] for spend in Ledger(guarded.shard(NODES[0]).ledger).spends] == [1]


def request(federation, run="run"):
    agreement = federation.agreement
    setting = agreement.setting(federation.catalogue, embed_titles=False)
    algorithm = model_in_use(agreement.experiment, setting)
    clients = torch.arange(15)
    task = algorithm.broadcast(algorithm.init_server(setting), clients, 1)
    arrays = shared_arrays(task)
    facts = {"shared": {name: digest(value) for name, value in arrays.items()}}
    asked = Envelope("train", agreement.digest, run, 1, NODES[0], "nonce")
    return replace(asked, parts=(encode_arrays(arrays), encode_personal(task)), facts=facts)


def test_noise_is_drawn_once_and_the_same_answer_is_given_again(guarded):
    first = unpack(Agent(guarded.shard(NODES[0])).answer(pack(request(guarded))))
    again = unpack(Agent(guarded.shard(NODES[0])).answer(pack(request(guarded))))
    assert first.parts == again.parts
    report = codec.decode_report(first.parts[0])
    assert not report.loss.any()
    (sums,) = report.sums.values()
    # noise on the grid, not whole numbers of items
    assert bool((sums != sums.round()).any())
    assert len(Ledger(guarded.shard(NODES[0]).ledger).spends) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.privacy.accounted import ledger
agent, write, when = Agent(ShardFolder(Path(sys.argv[1]))), ledger.append_line, sys.argv[2]
def killed(path, line):
    if when == "after":
        write(path, line)
    os.kill(os.getpid(), signal.SIGKILL)
ledger.append_line = killed
agent.answer([Path(name).read_bytes() for name in sys.argv[3:]])
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_the_payment_loses_no_round_and_pays_once(guarded, tmp_path, when):
    asked = request(guarded)
    files = [tmp_path / str(place) for place, _ in enumerate(pack(asked))]
    for path, chunk in zip(files, pack(asked), strict=True):
        path.write_bytes(chunk)
    shard = guarded.shard(NODES[0])
    command = [sys.executable, "-c", KILLED, str(shard.path), when, *map(str, files)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(Ledger(shard.ledger).spends) == (when == "after")
    kept = ShardStore(shard.database).answered("run", 1, "train")
    first = unpack(Agent(shard).answer(pack(asked)))
    again = unpack(Agent(shard).answer(pack(asked)))
    assert first.code == "ok"
    # what was on the disk is what leaves: nothing is drawn again
    assert first.parts == again.parts == (kept[1],)
    assert len(Ledger(shard.ledger).spends) == 1


def test_a_reply_that_waits_is_the_only_one_of_its_round(guarded):
    shard = guarded.shard(NODES[0])
    agent = Agent(shard)
    agent._handlers.pay = lambda *_: (_ for _ in ()).throw(OSError("no space"))
    assert unpack(agent.answer(pack(request(guarded)))).code == "failed"
    assert Ledger(shard.ledger).spends == []
    # its users have taken part: no other name of a run draws noise for them again
    other = unpack(Agent(shard).answer(pack(request(guarded, run="another"))))
    assert (other.code, other.parts) == ("refused", ())
    late = unpack(Agent(shard).answer(pack(request(guarded))))
    assert (late.code, len(late.parts)) == ("ok", 1)
    assert len(Ledger(shard.ledger).spends) == 1


def test_every_node_adds_all_of_the_noise(tmp_path):
    """The spread of a node's sum around its true one is that of the guarantee."""
    gaps = []
    for place in range(6):
        federation = federate(tmp_path / str(place), private(epsilon=1.0))
        reply = unpack(Agent(federation.shard(NODES[0])).answer(pack(request(federation))))
        (sums,) = codec.decode_report(reply.parts[0]).sums.values()
        guarantee = Ledger(federation.shard(NODES[0]).ledger).guarantee
        (part,) = guarantee["parts"].values()
        users = federation.agents()[NODES[0]]._handlers.users("run")
        last, _ = users.batch.last(40)
        true = torch.bincount(last[last >= 0], minlength=40).float()
        gaps.append((sums.flatten() - true) / (part["noise_multiplier"] * 40**0.5))
    spread = torch.cat(gaps).std()
    # 240 numbers: the estimate's own spread is .046
    assert float(spread) == pytest.approx(1.0, abs=0.18)


def test_no_metric_leaves_unless_that_was_agreed(guarded):
    silent = replace(guarded.agreement, metrics="none")
    silent.write(guarded.folder.server.agreement)
    for node in NODES:
        silent.write(guarded.shard(node).agreement)
    guarded = replace(guarded, agreement=silent)
    found = result(guarded.run(LocalEngine(guarded.agents())))
    assert found["test"] is None
    assert found["validation"] is None
    assert found["privacy"]["epsilon"] == pytest.approx(8.0, rel=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trust": "server", "shards": 1}, 'trust = "shard"'),
        ({"shards": 3}, "shards = 2"),
        ({"seeded_noise": True}, "seeded_noise is for tests"),
        ({"kind": "ldp"}, "cannot be deployed"),
    ],
)
def test_what_does_not_hold_against_the_server_is_refused(change, message, tmp_path):
    values = private(**change)
    if change.get("kind"):
        values["privacy"] = {"kind": "ldp", "epsilon": 8.0, "delta": 1e-3}
    with pytest.raises(InputError, match=message):
        federate(tmp_path / "d", values)


def test_secret_cohorts_are_no_secret_from_the_server(tmp_path):
    values = private()
    values["federation"] = {"rounds": 1, "sampling": "poisson", "cohort": 0.5}
    with pytest.raises(InputError, match="the server draws"):
        federate(tmp_path / "d", values)


def test_a_clip_that_adapts_is_refused_when_the_agent_starts(tmp_path):
    values = private()
    values |= {"algorithm": {"kind": "fedmf", "dim": 4}, "federation": {"rounds": 2}}
    federation = federate(tmp_path / "d", values)
    with pytest.raises(InputError, match=r"clip = 'adaptive'"):
        Agent(federation.shard(NODES[0]))
    values["privacy"] = PRIVATE | {"clip": 0.1}
    federation = federate(tmp_path / "e", values)
    out = federation.run(LocalEngine(federation.agents()))
    assert result(out)["privacy"]["epsilon"] <= 8.01
