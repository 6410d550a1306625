"""Flower's two apps and the engine over it, in this process, with a grid that is a dictionary."""

import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from flwr.app import Context, Error, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from small_federation import NODES

from ufgraphfr.deploy.flower import client_app
from ufgraphfr.deploy.flower.engine import GRACE_SECONDS, FlowerEngine
from ufgraphfr.deploy.flower.records import from_record, to_record
from ufgraphfr.deploy.server.folder import ServerFolder
from ufgraphfr.deploy.server.liveness import Stopped, heed_stop
from ufgraphfr.deploy.wire.message import Envelope, pack, unpack


@pytest.fixture(autouse=True)
def _engine(monkeypatch):
    """Messages know which run and node they come from."""
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


CHUNKS = [b"header", b"", b"x" * 100]
REQUESTS = {node: Envelope("train", "", "run", 1, node, "n", parts=(b"a",)) for node in NODES}


def test_records_hold_the_chunks():
    assert from_record(to_record(CHUNKS)) == CHUNKS
    assert from_record(RecordDict({})) == []


@pytest.mark.parametrize("key", ["others", "chunks"])
def test_other_records_hold_nothing(key):
    record = to_record(CHUNKS)
    record[f"{key}2"] = record["chunks"]
    assert from_record(record) == []


def forwarded(path: Path, chunks):
    message = Message(to_record(chunks), dst_node_id=1, message_type="query")
    message.metadata.__dict__["_message_id"] = "asked"
    context = Context(1, 1, {"agent": str(path)}, RecordDict(), {})
    return from_record(client_app.app(message, context).content)


def test_without_an_agent_the_server_gets_an_empty_answer(tmp_path, capsys):
    assert forwarded(tmp_path / "nobody", CHUNKS) == []
    # neither path nor text of the error leaves, not even to the node's own log
    assert capsys.readouterr().out == "no answer from the agent: FileNotFoundError\n"


def test_an_agents_answer_is_handed_on(federation, monkeypatch):
    agent = federation.agents()[NODES[0]]
    monkeypatch.setattr(client_app, "call", lambda _path, chunks, _seconds: agent.answer(chunks))
    asked = Envelope("hello", federation.agreement.digest, "run", 0, NODES[0], "n")
    reply = unpack(forwarded(Path("unused"), pack(asked)))
    assert (reply.code, reply.nonce) == ("ok", "n")


class Grid:
    """Nodes that answer at once; those that are down get the engine's error."""

    def __init__(self, down=()):
        self.down, self.sent, self.asked, self.kept = set(down), {}, [], []

    def get_node_ids(self):
        return [1, 2, 3]

    def push_messages(self, messages):
        for message in messages:
            name = f"message {len(self.asked)}"
            message.metadata.__dict__["_message_id"] = name
            self.asked.append(message.metadata.dst_node_id)
            self.kept.append(message.metadata.ttl)
            self.sent[name] = message
            yield name

    def pull_messages(self, names):
        for name in names:
            message = self.sent.pop(name)
            if message.metadata.dst_node_id in self.down:
                self.down.discard(message.metadata.dst_node_id)
                yield Message(Error(5, "secret"), reply_to=message)
            else:
                chunks = from_record(message.content)
                yield Message(to_record([*chunks, b"!"]), reply_to=message)


@contextmanager
def asked(grid, seconds=5.0):
    engine = FlowerEngine(grid, {NODES[0]: 1, NODES[1]: 2})
    yield dict(engine.ask(NODES, REQUESTS.__getitem__, 1, seconds))


def test_every_node_gets_its_own_message():
    with asked(Grid()) as found:
        assert found == {node: [*pack(request), b"!"] for node, request in REQUESTS.items()}
    assert FlowerEngine(Grid(), {NODES[0]: 1}).reachable() == {NODES[0]}


def test_what_is_heeded_ends_the_waiting_for_nodes_and_replies(tmp_path):
    folder = ServerFolder(tmp_path)
    engine = FlowerEngine(Grid(down={2}), {NODES[0]: 1, NODES[1]: 2}, partial(heed_stop, folder))
    replies = engine.ask(NODES, REQUESTS.__getitem__, 1, 60.0)
    assert next(replies)[0] == NODES[0]
    assert engine.reachable() == set(NODES)
    folder.stop.touch()
    with pytest.raises(Stopped):
        next(replies)
    with pytest.raises(Stopped):
        engine.reachable()


def test_a_node_that_comes_back_before_the_deadline_is_asked_again():
    grid = Grid(down={2})
    with asked(grid) as found:
        assert set(found) == set(NODES)
    assert sorted(grid.asked) == [1, 2, 2]


def test_nobody_is_handed_a_message_of_a_round_that_is_over():
    grid = Grid()
    with asked(grid, seconds=2.0):
        assert all(0 < kept <= 2.0 + GRACE_SECONDS < 10.0 for kept in grid.kept)


def test_a_node_that_stays_away_is_not_waited_for_longer_than_the_deadline():
    grid = Grid()
    grid.get_node_ids = lambda: [1]
    with asked(grid, seconds=0.5) as found:
        assert set(found) == {NODES[0]}


def test_the_run_ends_with_the_process_that_began_it_though_it_waits_for_ever(tmp_path):
    said, child = (
        tmp_path / "child",
        (
            "import os, pathlib, sys, threading\n"
            "from ufgraphfr.deploy.flower.server_app import end_with_parent\n"
            "end_with_parent(grace=0.1)\n"
            "pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\n"
            "threading.Event().wait()\n"
        ),
    )
    parent = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}, {str(said)!r}])"
    )
    with subprocess.Popen([sys.executable, "-c", parent]) as process:
        until(lambda: said.exists() and said.read_text())
        own = Path(f"/proc/{said.read_text()}")
        assert own.exists()
        process.kill()
    until(lambda: not own.exists())


def until(holds, seconds=20.0):
    last = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < last
        time.sleep(0.1)
