"""Secure sums over several runs: pads are those of a run, and a restored shard has others."""

import json
import shutil
from dataclasses import replace

import pytest
from small_federation import LocalEngine, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.backup import back_up, restore
from ufgraphfr.deploy.agent.pad_book import PadBook
from ufgraphfr.deploy.agreement.lifetime import Lifetime
from ufgraphfr.deploy.operations.amend import Changes, amend
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


@pytest.mark.slow
def test_a_node_takes_the_place_of_one_that_leaves_with_a_pad_key_of_its_own(tmp_path):
    values = toy_values(algorithm={"kind": "fedmf", "dim": 4})
    values["federation"] = {"rounds": 2, "cohort": 1.0}
    values["privacy"] = PRIVATE
    total = Lifetime(epsilon_of(noise_of(4.0, DELTA) / 2, DELTA), DELTA, 0)
    federation = federate(tmp_path / "d", values, names=NAMES, lifetime=total, startup_timeout=0.1)
    folder = federation.folder
    run(folder.server, LocalEngine(federation.agents()))
    keys = tmp_path / "keys"
    keys.mkdir()
    change = Changes(join=(("shop", 10),), leave=("node-3",))
    with pytest.raises(InputError, match=r"need a pad key made at each node that joins.*shop"):
        amend(folder, change)
    made = PadBook(folder.node("shop").shard).make()
    (keys / "shop.pad").write_text(made + "\n")
    with pytest.raises(InputError, match="4 nodes would make each share"):
        amend(folder, replace(change, leave=(), pad_keys=keys))
    (keys / "shop.pad").write_text(federation.agreement.pad_keys["node-3"])
    with pytest.raises(InputError, match="two nodes have the same pad key"):
        amend(folder, replace(change, pad_keys=keys))
    (keys / "shop.pad").write_text(made + "\n")
    agreement = amend(folder, replace(change, pad_keys=keys)).agreement
    assert agreement.pad_keys["shop"] == made
    federation.names = ("node-1", "node-2", "shop")
    for node in federation.names:
        federation.shard(node).sign(agreement.digest)
    rows = "".join(f"u{u},i{(u * 3 + k) % 40},{k}\n" for u in range(100, 104) for k in range(5))
    (tmp_path / "shop.csv").write_text("user,item,timestamp\n" + rows)
    federation.shard("shop").import_table(tmp_path / "shop.csv", None)
    begin_next(folder.server)
    run(folder.server, LocalEngine(federation.agents()))
    metrics = read_metrics(folder.server.metrics)
    assert (metrics["release"], metrics["unpublished"]) == (2, [])
    _, *uses = lines(federation, "shop")
    assert [(use["round"], use["nodes"]) for use in uses] == [
        (number, ["node-1", "node-2", "shop"]) for number in (1, 2)
    ]
