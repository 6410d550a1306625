"""Starts and stops a whole deployment on this machine, and hands the run to the engine."""

import json
import logging
import subprocess
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agreement.chain import read_agreement
from ufgraphfr.deploy.operations import authority, processes
from ufgraphfr.deploy.operations.certificates import fingerprint, write_node_key
from ufgraphfr.deploy.operations.commands import BIN, Commands
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.ports import check_ports, listens
from ufgraphfr.deploy.operations.processes import Process
from ufgraphfr.deploy.server.continuing import begin_next
from ufgraphfr.deploy.server.liveness import STARTING, WAITING, under_way
from ufgraphfr.deploy.server.metrics import RunMetrics, read_metrics
from ufgraphfr.deploy.wire import unix_socket

logger = logging.getLogger(__name__)


def up(
    folder: Deployment, address: str | None = None, again: bool = False, if_better: bool = False
) -> None:
    """Start server, agents and SuperNodes here, and the run, unless it is under way.

    Processes that run are left alone.

    Args:
        folder: of the deployment.
        address: by which SuperNodes reach the server, ``host:port``, if there is a proxy.
        again: whether the run goes on from the last release, see `submit`.
        if_better: see `submit`.

    Raises:
        InputError: a port is taken, or something did not start; its log is named. What was started
            is stopped again.
    """
    settings = folder.server.read_settings()
    if not again:
        # before anything is started
        _check_unfinished(folder)
    commands = Commands(folder, settings)
    names = [node.name for node in read_agreement(folder.server.agreement).nodes]
    before = {k: v for k, v in processes.read(folder.processes).items() if v.alive}
    check_ports(settings, names, running := dict(before))

    ensure = partial(_ensure, folder, running)
    try:
        ensure("superlink", commands.superlink(), commands.server_environment())
        for name in names:
            set_up_node(folder, name)
            ensure(f"agent-{name}", commands.agent(name), commands.node_environment(name))
        _wait("superlink", folder, running, lambda: listens(settings.port))
        for name in names:
            socket = ShardFolder(folder.node(name).shard).socket
            _wait(f"agent-{name}", folder, running, partial(unix_socket.listens, socket))
        register(folder)
        server = address or f"localhost:{settings.port}"
        for index, name in enumerate(names):
            supernode = commands.supernode(name, server, settings.node_port + index)
            environment = commands.node_environment(name)
            ensure(f"supernode-{name}", commands.supervised(supernode), environment)
        if again or not under_way(folder.server):
            submit(folder, again, if_better)
        else:
            logger.info("a run is under way; what was missing here was started")
    except BaseException:
        processes.end([each for name, each in running.items() if name not in before])
        processes.save(folder.processes, before)
        raise


def _ensure(
    folder: Deployment,
    running: dict[str, Process],
    name: str,
    command: list[str],
    environment: dict[str, str],
) -> None:
    """Start a process, unless it runs."""
    if name not in running:
        running[name] = processes.start(command, environment, folder.logs / f"{name}.log")
        processes.save(folder.processes, running)
        logger.info("started %s, process %d", name, running[name].pid)


def down(folder: Deployment) -> tuple[int, int]:
    """Stop the processes that `up` started, by their numbers.

    Returns:
        How many were stopped, and how many of them were killed.
    """
    started = list(processes.read(folder.processes).values())
    ended = sum(each.alive for each in started)
    killed = processes.end(started)
    folder.processes.unlink(missing_ok=True)
    return ended, killed


def register(folder: Deployment) -> None:
    """Register the keys of all nodes at the server, which forgets them when it ends.

    Raises:
        InputError: the server does not answer, or a node has sent no key.
    """
    authority.settle(folder)
    server, nodes = folder.server, folder.server.read_nodes()
    agreement, known = read_agreement(server.agreement), server.read_keys()
    keys = {each.name: _key(folder, each.name, agreement.keys) for each in agreement.nodes}
    if nodes:
        listed = {int(node["node-id"]) for node in _flwr(folder, "nodes", "supernode", "list")}
        nodes = {name: node_id for name, node_id in nodes.items() if node_id in listed}
    # registered by a release that did not keep it, with the key that is there
    known = keys | known
    for name in [each for each in nodes if known.get(each) != keys.get(each, "")]:
        # it has left, or its key is another one now
        _flwr(folder, "node-id", "supernode", "unregister", str(nodes.pop(name)))
        server.write_nodes(nodes, known)
        logger.info("the key of %s is registered no longer", name)
    known |= keys
    for name, key in keys.items():
        if name not in nodes:
            command = ("supernode", "register", str(folder.node(name).public_key), "--name", name)
            nodes[name] = int(_flwr(folder, "node-id", *command))
            server.write_nodes(nodes, known)
            logger.info("registered the key of %s, %s", name, key)


def _key(folder: Deployment, name: str, agreed: dict[str, str]) -> str:
    """The fingerprint of a node's key.

    Raises:
        InputError: there is none, or another one was agreed on.
    """
    path = folder.node(name).public_key
    found = fingerprint(path)
    if found != agreed.get(name, found):
        raise InputError(
            f"{path} is the key {found}, and {agreed[name]} was agreed on for {name}: get that one "
            f"from its operator, or amend the agreement with deploy amend --key {name}"
        )
    return found


def submit(folder: Deployment, again: bool = False, if_better: bool = False) -> None:
    """Hand the run to the engine; a run that was stopped is resumed.

    Args:
        folder: of the deployment.
        again: whether it is a new run, which goes on from the last release.
        if_better: whether it is published only if it does better than that release.

    Raises:
        InputError: the server does not take it, the run is finished, or no metrics leave by which
            it could be told whether it does better.
    """
    if if_better and not again:
        raise InputError("--if-better compares with the release before: it goes with --continue")
    if if_better and read_agreement(folder.server.agreement).metrics == "none":
        raise InputError(
            "--if-better: no metrics leave the nodes, so nobody knows which model does better; "
            "agree on --noised-metrics or --consented-metrics"
        )
    if again:
        release = begin_next(folder.server)
        logger.info("going on from release %d", release.number)
        folder.server.if_better.unlink(missing_ok=True)
        if if_better:
            folder.server.if_better.touch()
    _check_unfinished(folder)
    _begin(folder)


def _check_unfinished(folder: Deployment) -> None:
    # one that was cut off while it published goes on with that
    cut_off = read_metrics(folder.server.metrics).get("state") in WAITING
    if (folder.server.run / "result.json").exists() and not cut_off:
        raise InputError(
            f"the run in {folder.server.run} is finished: go on from its release with --continue, "
            f"or make another folder"
        )


def publish(folder: Deployment) -> None:
    """Hand a finished run to the engine again: its model is published to whoever lacks it.

    Raises:
        InputError: the server does not take it, or the run is not finished.
    """
    if not (folder.server.run / "result.json").exists():
        raise InputError(
            f"the run in {folder.server.run} is not finished, and publishes its model when it is: "
            f"go on with it first"
        )
    # a person decides
    folder.server.if_better.unlink(missing_ok=True)
    register(folder)
    _begin(folder)


def _begin(folder: Deployment) -> None:
    if under_way(folder.server):
        raise InputError(
            f"a run is under way in {folder.server.path}: follow it with ufgraphfr deploy watch, "
            f"or pause it with ufgraphfr deploy pause first"
        )
    path = folder.server.metrics
    before = path.read_bytes() if path.exists() else b"{}"
    # whoever watches from now on waits for this attempt, and does not read the end of the last one
    RunMetrics(path, read_metrics(path).get("rounds_planned", 0)).update(state=STARTING)
    try:
        run_id = _flwr(folder, "run-id", "run", str(folder.server.app))
    except BaseException:
        write_atomically(path, before)
        raise
    logger.info("the run has begun, the engine's id is %s", run_id)


def set_up_node(folder: Deployment, name: str) -> None:
    """What a node's operator does: make its key, sign off, import a try-out's tables."""
    node = folder.node(name)
    interactions = node.samples / "interactions.parquet"
    shard = ShardFolder(node.shard)
    if not node.key.exists():
        write_node_key(node.key, node.public_key)
    if not shard.is_signed:
        shard.sign(read_agreement(folder.server.agreement).digest)
    if not interactions.exists() or shard.database.exists():
        return
    shard.import_table(interactions, node.samples / "users.parquet")


def _flwr(folder: Deployment, key: str, *command: str) -> Any:
    """What the engine's own command line answers under a key.

    Raises:
        InputError: no answer, or one that says what went wrong.
    """
    settings, words = folder.server.read_settings(), f"flwr {command[0]}"
    try:
        done = subprocess.run(
            [str(BIN / "flwr"), *command, "--format", "json"],
            env=Commands(folder, settings).server_environment(),
            capture_output=True,
            text=True,
            timeout=settings.startup_timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{words}: no answer for {settings.startup_timeout:g} s: is the server up?"
        ) from None
    answer = _json_in(done.stdout)
    if done.returncode or key not in answer:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        said = str(answer.get("error-message") or " ".join(last)).strip()
        raise InputError(
            f"{words} failed ({' '.join(said.split())}): is the server of this deployment up?"
        )
    return answer[key]


def _json_in(text: str) -> dict[str, Any]:
    """The JSON object that a text holds, after whatever stands before it; empty if none."""
    begin = text.find("{")
    try:
        found: dict[str, Any] = json.JSONDecoder().raw_decode(text[begin:])[0] if begin >= 0 else {}
    except json.JSONDecodeError:
        found = {}
    return found


def _wait(
    name: str, folder: Deployment, running: dict[str, Process], ready: Callable[[], bool]
) -> None:
    until = time.monotonic() + folder.server.read_settings().startup_timeout
    while not ready():
        if not running[name].alive or time.monotonic() > until:
            raise InputError(f"{name} did not start: see {folder.logs / name}.log")
        time.sleep(0.1)
