"""Starts and ends a whole deployment on this machine, and hands the run to the engine."""

import json
import logging
import socket
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.deploy.agent.shard import ShardFolder
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agent.users import import_table
from ufgraphfr.deploy.agreement.document import read_agreement
from ufgraphfr.deploy.operations import processes
from ufgraphfr.deploy.operations.commands import Commands
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.processes import Process
from ufgraphfr.deploy.wire import unix_socket as framing

logger = logging.getLogger(__name__)


def up(folder: Deployment, address: str | None = None) -> None:
    """Start server, agents and SuperNodes here, and the run; what already runs is left alone.

    Args:
        folder: of the deployment.
        address: by which SuperNodes reach the server, ``host:port``, if there is a proxy.

    Raises:
        InputError: something did not start; its log is named.
    """
    terms = folder.server.terms()
    commands = Commands(folder, terms)
    names = [node.name for node in read_agreement(folder.server.agreement).nodes]
    running = {k: v for k, v in processes.read(folder.processes).items() if v.alive}

    def started(name: str, command: list[str], environment: dict[str, str]) -> None:
        if name not in running:
            running[name] = processes.start(command, environment, folder.logs / f"{name}.log")
            processes.save(folder.processes, running)
            logger.info("started %s, process %d", name, running[name].pid)

    try:
        started("superlink", commands.superlink(), commands.server_environment())
        for name in names:
            import_samples(folder, name)
            started(f"agent-{name}", commands.agent(name), commands.node_environment(name))
        _wait("superlink", folder, running, lambda: _listens(terms.port))
        for name in names:
            shard = ShardFolder(folder.node(name).shard)
            _wait(f"agent-{name}", folder, running, partial(framing.listens, shard.socket))
        register(folder)
        for place, name in enumerate(names):
            here = address or f"localhost:{terms.port}"
            supernode = commands.kept(commands.supernode(name, here, terms.node_port + place))
            started(f"supernode-{name}", supernode, commands.node_environment(name))
        submit(folder)
    except InputError:
        down(folder)
        raise


def down(folder: Deployment) -> tuple[int, int]:
    """End what `up` started, by its number.

    Returns:
        How many processes were ended, and how many had to be killed.
    """
    started = list(processes.read(folder.processes).values())
    ended = sum(each.alive for each in started)
    killed = processes.end(started)
    folder.processes.unlink(missing_ok=True)
    return ended, killed


def register(folder: Deployment) -> None:
    """Make the keys of all nodes known to the server, which forgets them when it ends.

    Raises:
        InputError: the server does not answer.
    """
    server, commands = folder.server, Commands(folder, folder.server.terms())
    known = {name: number for number, name in server.nodes().items()}
    if known:
        listed = _flwr(folder, commands.registered())["nodes"]
        there = {int(node["node-id"]) for node in listed}
        known = {name: number for name, number in known.items() if number in there}
    for node in read_agreement(server.agreement).nodes:
        if node.name not in known:
            answer = _flwr(folder, commands.register(node.name))
            known[node.name] = int(answer["node-id"])
            write_atomically(server.registered, json.dumps(known).encode())
            logger.info("registered the key of %s", node.name)


def submit(folder: Deployment) -> None:
    """Hand the run to the engine; a run that was stopped goes on.

    Raises:
        InputError: the server does not take it, or the run is finished.
    """
    if (folder.server.run / "result.json").exists():
        raise InputError(f"the run in {folder.server.run} is finished: make a new folder")
    answer = _flwr(folder, Commands(folder, folder.server.terms()).submit())
    logger.info("the run has begun, number %s of the engine", answer["run-id"])


def import_samples(folder: Deployment, name: str) -> None:
    """Import a try-out's tables into a shard that is empty."""
    node = folder.node(name)
    interactions = node.samples / "interactions.parquet"
    shard = ShardFolder(node.shard)
    if not interactions.exists() or shard.database.exists():
        return
    own, agreement, catalogue = shard.signed()
    users = node.samples / "users.parquet"
    import_table(ShardStore(shard.database), agreement, catalogue, own, interactions, users)


def _flwr(folder: Deployment, command: list[str]) -> dict[str, Any]:
    terms, words = folder.server.terms(), " ".join(command[1:3])
    environment = Commands(folder, terms).server_environment()
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=terms.patience,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{words}: no answer for {terms.patience:g} s: is the server up?"
        ) from None
    begin = done.stdout.find("{")
    if done.returncode or begin < 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise InputError(f"{words} failed ({' '.join(said)}): is the server up?")
    answer: dict[str, Any] = json.JSONDecoder().raw_decode(done.stdout[begin:])[0]
    return answer


def _wait(
    name: str, folder: Deployment, running: dict[str, Process], ready: Callable[[], bool]
) -> None:
    until = time.monotonic() + folder.server.terms().patience
    while not ready():
        if not running[name].alive or time.monotonic() > until:
            raise InputError(f"{name} did not start: see {_log(folder, name)}")
        time.sleep(0.1)


def _log(folder: Deployment, name: str) -> Path:
    return folder.logs / f"{name}.log"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
