"""Memory of a node's agent and of its service, by what they are asked.

    python benchmarks/memory/agent.py FOLDER                    # MovieLens-100K, 472 users a node
    python benchmarks/memory/agent.py FOLDER --users 20000      # generated, 10,000 users a node

Agents are processes of their own, as deployed, with one thread; the server's part runs here and
asks them at their sockets. A line for each request to the first node: what was resident at its
peak and after it. Linux alone: it reads and resets the kernel's own peak.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agent.tokens import Tokens
from ufgraphfr.deploy.agreement.chain import read_agreement
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.init import draft_tryout, write
from ufgraphfr.deploy.operations.launcher import set_up_node
from ufgraphfr.deploy.server.run import run
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.deploy.wire import unix_socket
from ufgraphfr.deploy.wire.engine import Requests
from ufgraphfr.deploy.wire.message import pack
from ufgraphfr.experiment import build

FLAGSHIP: dict[str, Any] = {
    "name": "memory",
    "algorithm": {
        "kind": "ufgraphformer",
        "graph": {"rounds": 1},
        "training": {"local_steps": 2},
    },
    "federation": {"rounds": 5, "cohort": 96},
    "evaluation": {"every": 5, "baselines": ["popularity"]},
}
SECONDS = 3600.0


def status(pid: int, name: str) -> float:
    """MiB that the kernel names for a process: VmHWM at the peak, VmRSS now."""
    told = Path(f"/proc/{pid}/status").read_text()
    return int(told.split(f"{name}:")[1].split()[0]) / 1024


def reset(pid: int) -> None:
    """Let a process's peak begin at what it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


class Watched:
    """The nodes' agents, each a process; see `ufgraphfr.deploy.wire.engine.Engine`."""

    def __init__(self, folder: Deployment) -> None:
        """Start them."""
        names = [node.name for node in read_agreement(folder.server.agreement).nodes]
        self.shards = {name: ShardFolder(folder.node(name).shard) for name in names}
        self.agents = {name: started(shard) for name, shard in self.shards.items()}
        self.watched, self.most = self.agents[names[0]].pid, 0.0
        for name, shard in self.shards.items():
            while not unix_socket.listens(shard.socket):
                if self.agents[name].poll() is not None:
                    raise SystemExit(f"the agent of {name} ended")
                time.sleep(0.1)
        self.tell("start")

    def reachable(self) -> set[str]:
        """All."""
        return set(self.agents)

    def ask(
        self, nodes: Collection[str], requests: Requests, round_number: int, seconds: float
    ) -> Iterator[tuple[str, list[bytes]]]:
        """One node after the other."""
        for name in nodes:
            request = requests(name)
            reset(self.watched)
            reply = unix_socket.call(self.shards[name].socket, pack(request), SECONDS)
            if self.agents[name].pid == self.watched:
                sizes = sum(map(len, request.parts)) / 2**20, sum(map(len, reply)) / 2**20
                self.tell(f"{request.kind} {round_number}, {sizes[0]:.1f} and {sizes[1]:.1f} MiB")
            yield name, reply

    def tell(self, what: str) -> None:
        """The agent's figures."""
        peak = status(self.watched, "VmHWM")
        self.most = max(self.most, peak)
        print(f"{what}: peak {peak:.0f}, then {status(self.watched, 'VmRSS'):.0f} MiB", flush=True)

    def end(self) -> None:
        """Stop them."""
        for process in self.agents.values():
            process.terminate()
            process.wait()


def started(shard: ShardFolder, *command: str) -> subprocess.Popen[bytes]:
    """An agent's command as a process."""
    line = [sys.executable, "-m", "ufgraphfr", "agent", "--shard", str(shard.path), *command]
    return subprocess.Popen(line, env=os.environ | {"OMP_NUM_THREADS": "1"})


def serving(shard: ShardFolder, port: int) -> None:
    """Memory of the node's service: with its model, and after requests for fifty users."""
    headers = {"Content-Type": "application/json"}
    headers |= {"Authorization": f"Bearer {Tokens(shard.tokens).add('memory')}"}
    process = started(shard, "serve", "--port", str(port))
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}/health").read()
                break
            except OSError:
                time.sleep(0.2)
        print(f"serve: peak {status(process.pid, 'VmHWM'):.0f} MiB at its start")
        for name in ShardStore(shard.database).names()[:50]:
            body = json.dumps({"user": name}).encode()
            asked = urllib.request.Request(f"{address}/users/recommend", body, headers)
            urllib.request.urlopen(asked).read()
        told = status(process.pid, "VmHWM"), status(process.pid, "VmRSS")
        print(f"serve, 50 requests: peak {told[0]:.0f}, then {told[1]:.0f} MiB")
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Make a deployment, run it, serve, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--users", type=int, help="of a generated population, on all nodes")
    parser.add_argument("--items", type=int, default=1_700)
    parser.add_argument("--rows", type=int, default=100, help="of each user")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--port", type=int, default=18_910)
    given = parser.parse_args()
    folder = Deployment(given.folder.resolve())
    made = {"kind": "synthetic", "users": given.users, "items": given.items}
    data = {"kind": "ml-100k"} if given.users is None else made | {"interactions": given.rows}
    write(
        folder,
        draft_tryout(build(FLAGSHIP | {"data": data}), given.nodes, folder),
        ServerSettings(round_timeout=SECONDS, metrics_port=0),
    )
    for node in read_agreement(folder.server.agreement).nodes:
        set_up_node(folder, node.name)
    engine = Watched(folder)
    try:
        run(folder.server, engine)
    finally:
        engine.end()
    print(f"agent: most {engine.most:.0f} MiB")
    serving(next(iter(engine.shards.values())), given.port)


if __name__ == "__main__":
    main()
