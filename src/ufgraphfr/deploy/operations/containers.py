"""Compose files, for hosts that run containers instead of units: the same commands and accounts.

Each part of the deployment is at the same path inside as outside. JSON is YAML, and needs no
escapes but those of Compose: a dollar is written twice.
"""

import json
from typing import Any

from ufgraphfr import __version__
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.deploy.operations.commands import BIN, ENGINE, Commands
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.server.settings import ServerSettings

IMAGE = f"ufgraphfr:{__version__}"
AGENT, NODE, SERVER = "10001:10001", "10002:10002", "10003:10003"
"""Accounts of the image: the SuperNode's may open nothing in a shard's folder but the socket."""

Service = dict[str, Any]


def write_server_compose(folder: Deployment, settings: ServerSettings) -> None:
    """The server's file: the SuperLink, at the host's loopback, where its proxy finds it."""
    commands, path = Commands(folder, settings), folder.path.resolve()
    superlink = _service(commands.superlink(), SERVER)
    superlink |= {
        "network_mode": "host",
        "working_dir": str(path),
        "environment": {**ENGINE, "FLWR_HOME": str(folder.server.home), "PYTHONSAFEPATH": "1"},
        "volumes": [_mount(path)],
    }
    _write(folder, "server", {"superlink": superlink})


def write_node_compose(folder: Deployment, name: str, settings: ServerSettings) -> None:
    """A node's file: agent without a network, and SuperNode without the shard's files."""
    commands, node = Commands(folder, settings), folder.node(name)
    address = f"{settings.host}:{settings.public_port}"
    agent = _service(commands.agent(name), AGENT)
    agent |= {"network_mode": "none", "volumes": [_mount(node.shard)]}
    supernode = _service(commands.supernode(name, address, settings.node_port), NODE)
    supernode |= {
        # the agent's socket is its group's
        "group_add": [AGENT.partition(":")[0]],
        "depends_on": ["agent"],
        "environment": {
            **ENGINE,
            "FLWR_HOME": str(node.home),
            "PYTHONSAFEPATH": "1",
            "UFGRAPHFR_AGENT": str(node.shard.resolve() / "agent.sock"),
        },
        "volumes": [
            _mount(node.home),
            *(_mount(path, writable=False) for path in (node.shard, node.ca, node.key)),
        ],
    }
    _write(folder, name, {"agent": agent, "supernode": supernode})


def _service(command: list[str], user: str) -> Service:
    first, *rest = command
    return {
        "image": IMAGE,
        # a script of this installation is one of the image's
        "command": [first.removeprefix(f"{BIN}/"), *rest],
        "user": user,
        "restart": "always",
        "read_only": True,
        "tmpfs": ["/tmp"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "environment": {"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"},
    }


def _mount(path: Any, writable: bool = True) -> Service:
    place = str(path.resolve())
    return {"type": "bind", "source": place, "target": place, "read_only": not writable}


def _write(folder: Deployment, name: str, services: dict[str, Service]) -> None:
    text = json.dumps({"services": services}, indent=2).replace("$", "$$")
    head = (
        "# docker compose -f THIS up -d; the image: docker build -t " + IMAGE + " in a checkout\n"
    )
    path = folder.path / "compose" / f"{name}.yaml"
    write_atomically(path, f"{head}{text}\n".encode())
