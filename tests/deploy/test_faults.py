"""Real agent processes that are killed, stopped or out of space; no engine in between."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from concurrent.futures import TimeoutError as PoolTimeout
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_federation import NODES, Federation, federate, toy_values

from ufgraphfr.deploy.agent.serve import RECEIVE_SECONDS
from ufgraphfr.deploy.operations import processes
from ufgraphfr.deploy.operations.commands import Commands
from ufgraphfr.deploy.operations.processes import Process
from ufgraphfr.deploy.server.continuing import begin_next
from ufgraphfr.deploy.server.handshake import TooFewReplies
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.run import run
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.deploy.wire.engine import Requests
from ufgraphfr.deploy.wire.message import pack
from ufgraphfr.deploy.wire.unix_socket import BrokenFrame, address, call, listens
from ufgraphfr.experiment import build, execute
from ufgraphfr.serve.recommender import Recommender
from ufgraphfr.serve.requests import Request

pytestmark = pytest.mark.slow
FEDMF = {"kind": "fedmf", "dim": 4, "lr": 0.05}
SECONDS = 120.0
"""More than a process takes to start or to answer, however busy the machine is."""
PATIENT = ServerSettings(round_timeout=SECONDS, startup_timeout=SECONDS)
HASTY = ServerSettings(round_timeout=3.0, quorum=0.5, startup_timeout=SECONDS)


@dataclass(frozen=True)
class SocketEngine:
    """Agents on this machine, reached through their sockets without any other process.

    Attributes:
        sockets: node to path.
    """

    sockets: dict[str, Path]

    def reachable(self) -> set[str]:
        return {node for node, path in self.sockets.items() if path.exists()}

    def ask(
        self, nodes: Collection[str], requests: Requests, round_number: int, seconds: float
    ) -> Iterator[tuple[str, list[bytes]]]:
        pool = ThreadPoolExecutor(max(1, len(nodes)))
        waiting = {
            pool.submit(call, self.sockets[node], pack(requests(node)), seconds): node
            for node in nodes
        }
        try:
            for done in as_completed(waiting, timeout=seconds):
                if not isinstance(done.exception(), OSError | BrokenFrame):
                    yield waiting[done], done.result()
        except PoolTimeout:
            pass
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class Agents:
    """The agents of a federation, as processes."""

    def __init__(self, federation: Federation) -> None:
        self.federation, self.running = federation, dict[str, Process]()
        self.engine = SocketEngine({node: federation.shard(node).socket for node in NODES})

    def start(self, node: str, *before: str) -> None:
        commands = Commands(self.federation.folder, self.federation.settings)
        log = self.federation.folder.logs / f"{node}.log"
        command = [*before, *commands.agent(node)]
        self.running[node] = processes.start(command, commands.node_environment(node), log)
        until = time.monotonic() + SECONDS
        while not listens(self.engine.sockets[node]):
            assert self.running[node].alive, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)

    def signal(self, node: str, number: signal.Signals) -> None:
        self.running[node].signal(number)
        while number == signal.SIGKILL and self.running[node].alive:
            time.sleep(0.01)

    def end(self) -> None:
        processes.end(list(self.running.values()))


@pytest.fixture
def agents(tmp_path):
    found = Agents(federate(tmp_path / "d", toy_values(algorithm=FEDMF)))
    yield found
    found.end()


def simulated(out):
    for _ in execute(build(toy_values(algorithm=FEDMF)), out):
        pass
    return result(out)


def result(out):
    return json.loads((out / "result.json").read_text())["test"]["full"]


def clients(out):
    return [
        json.loads(line)["clients"] for line in (out / "metrics.jsonl").read_text().splitlines()
    ]


def test_agents_that_are_killed_between_rounds_lose_nothing(agents, tmp_path):
    for node in NODES:
        agents.start(node)
    agents.federation.run(agents.engine, PATIENT, stop_after=2)
    for node in NODES:
        agents.signal(node, signal.SIGKILL)
        agents.start(node)
    out = agents.federation.run(agents.engine, PATIENT)
    assert result(out) == pytest.approx(simulated(tmp_path / "s"), abs=1e-9)


def test_an_agent_that_is_killed_in_a_round_is_asked_again(agents, tmp_path):
    for node in NODES:
        agents.start(node)
    agents.federation.run(agents.engine, PATIENT, stop_after=1)
    # it has the request and never answers
    agents.signal(NODES[1], signal.SIGSTOP)
    kill = threading.Timer(1.0, agents.signal, (NODES[1], signal.SIGKILL))
    kill.start()
    with pytest.raises(TooFewReplies, match="1 of 2 nodes"):
        agents.federation.run(agents.engine, PATIENT)
    kill.join()
    agents.start(NODES[1])
    out = agents.federation.run(agents.engine, PATIENT)
    assert result(out) == pytest.approx(simulated(tmp_path / "s"), abs=1e-9)


def test_a_late_reply_is_not_waited_for_and_not_used(agents):
    for node in NODES:
        agents.start(node)
    agents.federation.run(agents.engine, PATIENT, stop_after=1)
    agents.signal(NODES[1], signal.SIGSTOP)
    began = time.monotonic()
    out = agents.federation.run(agents.engine, HASTY, stop_after=1)
    assert time.monotonic() - began < SECONDS / 2
    # it wakes, and answers a question that nobody asks any more
    agents.signal(NODES[1], signal.SIGCONT)
    agents.federation.run(agents.engine, PATIENT)
    assert read_metrics(agents.federation.folder.server.metrics)["replies_lost"] >= 1
    found = clients(out)
    assert found[0] == 20
    assert 0 < found[1] < 20
    assert found[-1] == 20


def test_an_agent_without_space_fails_without_losing_anything(agents, tmp_path):
    agents.start(NODES[0])
    # no file of this process may grow beyond what the shard's memory takes now
    most = max(path.stat().st_size for path in agents.federation.shard(NODES[1]).path.iterdir())
    agents.start(NODES[1], "bash", "-c", f'ulimit -f {most // 1024}; exec "$@"', "bash")
    with pytest.raises(TooFewReplies, match="1 of 2 nodes"):
        agents.federation.run(agents.engine, PATIENT)
    audit = agents.federation.shard(NODES[1]).audit.read_text().splitlines()
    assert json.loads(audit[-1])["code"] == "failed"
    # the operator makes room
    agents.signal(NODES[1], signal.SIGTERM)
    while agents.running[NODES[1]].alive:
        time.sleep(0.05)
    agents.start(NODES[1])
    out = agents.federation.run(agents.engine, PATIENT)
    assert result(out) == pytest.approx(simulated(tmp_path / "s"), abs=1e-9)


def test_a_person_with_every_item_who_comes_during_a_run_stops_no_node(tmp_path):
    found = Agents(federate(tmp_path / "d", toy_values(algorithm=FEDMF), spare=5))
    federation, shard = found.federation, found.federation.shard(NODES[0])
    try:
        for node in NODES:
            found.start(node)
        federation.run(found.engine, PATIENT, stop_after=1)
        table = tmp_path / "rows.csv"
        rows = [f"all,{item},{place}" for place, item in enumerate(federation.catalogue.items)]
        table.write_text("\n".join(["user,item,timestamp", *rows, ""]))
        command = Commands(federation.folder, federation.settings).agent(NODES[0])
        subprocess.run([*command, "import", str(table)], check=True, timeout=SECONDS)
        run(federation.folder.server, found.engine)
        metrics = read_metrics(federation.folder.server.metrics)
        assert (metrics["state"], metrics["users"], metrics["untold"]) == ("finished", 30, 0)
        begin_next(federation.folder.server)
        run(federation.folder.server, found.engine)
        metrics = read_metrics(federation.folder.server.metrics)
        assert (metrics["state"], metrics["users"], metrics["untold"]) == ("finished", 31, 0)
        assert metrics["replies_rejected"] == metrics["replies_lost"] == 0
        # nothing is left to recommend, and that is said
        served = Recommender.at_node(shard).answer(Request(user="all"))
        assert served.recommended == []
        assert any("0 items are left" in note for note in served.notes)
    finally:
        found.end()


def test_a_caller_that_talks_nonsense_harms_nobody(agents):
    agents.start(NODES[0])
    for nonsense in (b"", b"\x00", b"GET / HTTP/1.1\r\n\r\n", os.urandom(100)):
        path = agents.engine.sockets[NODES[0]]
        with socket.socket(socket.AF_UNIX) as caller, address(path) as short:
            caller.connect(short)
            caller.sendall(nonsense)
    agents.start(NODES[1])
    assert agents.federation.population(agents.engine, PATIENT).data["users"] == 30


def test_callers_that_say_nothing_keep_nobody_waiting(agents):
    for node in NODES:
        agents.start(node)
    with ExitStack() as silent:
        for begun in (b"", b"", b"\x00\x00\x00\x01", b"\x00\x00"):
            caller = silent.enter_context(socket.socket(socket.AF_UNIX))
            with address(agents.engine.sockets[NODES[0]]) as short:
                caller.connect(short)
            caller.sendall(begun)
        started = time.monotonic()
        assert agents.federation.population(agents.engine, PATIENT).data["users"] == 30
        # one after the other they would take four times as long
        assert time.monotonic() - started < 4 * RECEIVE_SECONDS


def test_only_one_agent_serves_a_shard(agents):
    agents.start(NODES[0])
    commands = Commands(agents.federation.folder, agents.federation.settings)
    log = agents.federation.folder.logs / "second.log"
    second = processes.start(commands.agent(NODES[0]), commands.node_environment(NODES[0]), log)
    while second.alive:
        time.sleep(0.1)
    assert "already listens" in log.read_text()
    # told to end, the first one takes its socket away
    agents.signal(NODES[0], signal.SIGTERM)
    while agents.running[NODES[0]].alive:
        time.sleep(0.1)
    assert not agents.engine.sockets[NODES[0]].exists()


def test_the_socket_and_the_data_are_closed_to_others(agents):
    agents.start(NODES[0])
    shard = agents.federation.shard(NODES[0])
    assert shard.socket.stat().st_mode & 0o777 == 0o660
    assert shard.database.stat().st_mode & 0o777 == 0o600
    assert shard.path.stat().st_mode & 0o777 == 0o710
    key = agents.federation.folder.node(NODES[0]).key
    assert key.stat().st_mode & 0o777 == 0o600
