"""Secure sums over several runs: pads are those of a run, and a restored shard has others."""

import json
import shutil

import pytest
from small_federation import LocalEngine, federate, toy_values

from ufgraphfr.deploy.agent.backup import back_up, restore
from ufgraphfr.deploy.agreement.lifetime import Lifetime
from ufgraphfr.deploy.server.continuing import begin_next
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.server.run import run
from ufgraphfr.privacy.accounted.accounting import epsilon_of, noise_of

NAMES = ("node-1", "node-2", "node-3")
DELTA = 1e-3
MASKED = {"trust": "secure-sum", "shards": 3}
PRIVATE = {"kind": "central-jdp", "epsilon": 4.0, "delta": DELTA, "clip": 1.0, **MASKED}


def lines(federation, node):
    return [
        json.loads(line)
        for line in (federation.shard(node).path / "pads.jsonl").read_text().splitlines()
    ]


@pytest.mark.parametrize("privacy", [PRIVATE, {"kind": "secure-sum", "shards": 3}])
def test_a_second_run_has_pads_of_its_own_and_a_restored_shard_takes_part_in_it(privacy, tmp_path):
    values = toy_values(algorithm={"kind": "fedmf", "dim": 4})
    values["federation"] = {"rounds": 2, "cohort": 1.0}
    values["privacy"] = privacy
    total = Lifetime(epsilon_of(noise_of(4.0, DELTA) / 2, DELTA), DELTA, 0)
    lifetime = total if privacy is PRIVATE else None
    federation = federate(
        tmp_path / "d", values, names=NAMES, lifetime=lifetime, startup_timeout=0.1
    )
    server = federation.folder.server
    run(server, LocalEngine(federation.agents()))
    first = Participants.read(server.participants)
    # a copy of before the second run is put in place: it has the key, and no record of pads
    shard = federation.shard(NAMES[0])
    back_up(shard, tmp_path / "copy.tar")
    used = lines(federation, NAMES[0])
    shutil.rmtree(shard.path)
    restore(shard, tmp_path / "copy.tar", release=None, nothing_since=True)
    assert [path.name for path in shard.path.glob("pad*")] == ["pad.key"]
    begin_next(server)
    run(server, LocalEngine(federation.agents()))
    second = Participants.read(server.participants)
    assert read_metrics(server.metrics)["release"] == 2
    same = [node for node in NAMES if first.epochs[node] == second.epochs[node]]
    assert same == list(NAMES[1:])
    for node in same:
        _, *uses = lines(federation, node)
        assert [(use["run"], use["round"]) for use in uses] == [
            *((first.run, number) for number in (1, 2)),
            *((second.run, number) for number in (1, 2)),
        ]
    assert lines(federation, NAMES[0])[0] != used[0]
