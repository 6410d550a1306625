"""A full disk ends a command in one line, and nothing that was finished is lost."""

import json
import re
import resource
import sqlite3
from contextlib import contextmanager

import pytest

from ufgraphfr.core.errors import is_disk_full
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.privacy.accounted.ledger import Ledger

PRIVACY = """
[privacy]
kind = "central-jdp"
epsilon = 4
delta = 1e-4
clip = 1.0
"""


@contextmanager
def room(size):
    """No file may grow beyond that many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("size", [64, 400, 900, 1_200, 2_000, 3_500])
def test_a_run_goes_on_where_the_disk_was_full(size, private, cli, toy, tmp_path):
    text = toy.read_text().replace("cold_users = 0.2", "")
    toy.write_text(text + PRIVACY if private else text)
    whole = tmp_path / "whole"
    assert cli("run", toy, "--out", whole, "--quiet").code == 0
    with room(size):
        ended = cli("run", toy, "--out", tmp_path / "run", "--quiet")
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert re.search("no space is left|File too large", ended.err)
    assert "Traceback" not in ended.err
    ended = cli("run", toy, "--out", tmp_path / "run", "--quiet", "--resume")
    assert ended.code == 0, ended.err
    found, expected = (
        json.loads((folder / "result.json").read_text()) for folder in (tmp_path / "run", whole)
    )
    if private:
        spends = Ledger(tmp_path / "run" / "ledger.jsonl").spends
        assert [spend["round"] for spend in spends] == [1, 2, 3, 4]
        assert found["privacy"]["epsilon"] == expected["privacy"]["epsilon"]
    else:
        assert found["test"] == expected["test"]


def test_a_database_that_cannot_grow_is_a_full_disk(tmp_path):
    path = tmp_path / "shard.sqlite"
    store = ShardStore(path)
    largest = max(each.stat().st_size for each in tmp_path.iterdir())
    reply = bytes(4_000)
    store.keep_reply("run", 0, "train", "d", reply)
    with room(largest), pytest.raises(sqlite3.Error) as raised:
        store.keep_reply("run", 1, "train", "d", bytes(1_000_000))
    assert is_disk_full(raised.value)
    # what was kept before is there
    assert store.answered("run", 0, "train") == ("d", reply)
    assert not is_disk_full(sqlite3.OperationalError("no such table"))
