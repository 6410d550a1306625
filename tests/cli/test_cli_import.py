"""``ufgraphfr agent import --watch``."""

import time

from small_federation import NODES, federate, toy_values

from ufgraphfr.core.errors import InputError


def test_the_command_goes_on_until_it_is_stopped(tmp_path, cli, monkeypatch):
    values = toy_values(algorithm={"kind": "fedmf", "dim": 4})
    shard = federate(tmp_path / "d", values, spare=10).shard(NODES[0])
    place = tmp_path / "in"
    place.mkdir()
    (place / "a.csv").write_text("user,item,timestamp\nnew,i1,1\nnew,i2,2\nnew,i3,3\n")
    looks = []

    def sleep(_):
        looks.append(1)
        if len(looks) == 2:
            raise InputError("stopped by the test")

    monkeypatch.setattr(time, "sleep", sleep)
    told = cli("agent", "--shard", shard.path, "import", "--watch", place, "--seconds", 1)
    assert "done/a.csv: 1 new user, 3 new interactions" in told.out
    told = cli("agent", "--shard", shard.path, "import", "--watch", tmp_path / "nowhere")
    assert "is no folder" in told.err
    assert "takes one table" in cli("agent", "--shard", shard.path, "import").err
