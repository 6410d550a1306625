"""Pad keys are made at their nodes, before there is an agreement, and come into it as halves."""

import json
import stat

import numpy as np
import pytest
from small_federation import federate, toy_values
from typer.testing import CliRunner

from ufgraphfr.cli.main import app
from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.pad_book import PadBook
from ufgraphfr.deploy.agreement.chain import read_agreement
from ufgraphfr.deploy.operations.amend import Changes, amend
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.init import draft, write
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.deploy.wire import pads
from ufgraphfr.experiment import build

NAMES = ("node-1", "node-2", "node-3", "node-4")


def drafted(folder, keys, nodes=3):
    (folder / "items.csv").write_text("item,title\na,A\nb,B\nc,C\nd,D\n")
    values = toy_values(
        data={"kind": "table", "interactions": "x.csv", "items": "items.csv"},
        algorithm={"kind": "fedmf", "dim": 4},
    )
    experiment = build(values | {"privacy": {"kind": "secure-sum", "shards": nodes}})
    return draft(experiment, nodes, 10, min_users=2, data_dir=folder, pad_keys=keys)


def test_public_halves_from_the_nodes_are_in_the_agreement_and_their_metrics_stay(tmp_path):
    keys, runner = tmp_path / "keys", CliRunner()
    keys.mkdir()
    for name in NAMES[:3]:
        shard = tmp_path / name
        said = runner.invoke(app, ["agent", "--shard", str(shard), "pad-key"])
        assert said.exit_code == 0
        (keys / f"{name}.pad").write_text(said.output.splitlines()[-1] + "\n")
        assert stat.S_IMODE((shard / "pad.key").stat().st_mode) == 0o600
        again = runner.invoke(app, ["agent", "--shard", str(shard), "pad-key"])
        assert isinstance(again.exception, InputError) or again.exit_code == 2
    made = drafted(tmp_path, keys)
    assert made.agreement.metrics == "none"
    folder = Deployment(tmp_path / "ours")
    write(folder, made, ServerSettings(host="fl.example.org", port=9000))
    agreed = read_agreement(folder.server.agreement).pad_keys
    for name in NAMES[:3]:
        own = (tmp_path / name / "pad.key").read_bytes()
        assert agreed[name] == pads.public_half(own)
        assert PadBook(tmp_path / name).key(agreed[name]) == own


def test_a_key_that_is_missing_twice_there_or_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="need a pad key made at node-1"):
        drafted(tmp_path, None)
    with pytest.raises(InputError, match=r"node-1\.pad is missing"):
        drafted(tmp_path, tmp_path)
    for name in NAMES[:3]:
        (tmp_path / f"{name}.pad").write_text("ab" * 32)
    with pytest.raises(InputError, match="two nodes have the same pad key"):
        drafted(tmp_path, tmp_path)
    (tmp_path / "node-2.pad").write_text("no key")
    with pytest.raises(InputError, match="need a pad key made at node-2"):
        drafted(tmp_path, tmp_path)


def test_an_agreement_without_secure_sums_says_nothing_of_pads(tmp_path):
    federation = federate(tmp_path, toy_values())
    assert b"pad_keys" not in federation.folder.server.agreement.read_bytes()


def test_nodes_may_leave_while_enough_are_left_and_none_may_join(tmp_path):
    values = toy_values(algorithm={"kind": "fedmf", "dim": 4})
    values["privacy"] = {"kind": "secure-sum", "shards": 4}
    federation = federate(tmp_path, values, names=NAMES)
    with pytest.raises(InputError, match="agree anew with deploy init"):
        amend(federation.folder, Changes(join=(("node-5", 10),)))
    amend(federation.folder, Changes(leave=(NAMES[3],)))
    with pytest.raises(InputError, match="2 nodes would be left, and a secure sum needs 3"):
        amend(federation.folder, Changes(leave=(NAMES[2],)))


def use(**changes):
    values = {
        **{"agreement": "a", "run": "r", "round": 1, "kind": "train", "attempt": 1},
        "epochs": dict.fromkeys(NAMES, "0" * 64),
    }
    return pads.PadUse(**values | changes)


def test_everything_that_tells_two_uses_apart_changes_the_pads():
    keys = {name: pads.make_key() for name in NAMES}
    public = {name: pads.public_half(key) for name, key in keys.items()}
    nothing = np.zeros(5, np.uint64)

    def masked(of):
        found = pads.add_pads(nothing, of, NAMES[0], keys[NAMES[0]], public)
        return json.dumps(found.tolist())

    others = [
        use(agreement="b"),
        use(run="s"),
        use(round=2),
        use(kind="evaluate"),
        use(attempt=2),
        use(epochs=dict.fromkeys(NAMES[:3], "0" * 64)),
        use(epochs=dict.fromkeys(NAMES, "0" * 64) | {NAMES[3]: "1" * 64}),
    ]
    assert masked(use()) == masked(use())
    assert len({masked(each) for each in (use(), *others)}) == len(others) + 1
