"""Command lines and environments of the processes of a deployment."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.server.settings import Terms

BIN = Path(sys.executable).parent
"""Where this installation's console scripts are."""
RESTART_SECONDS = 5
ENGINE = {
    # how often it looks for work, in seconds; else 1
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2",
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    # else the engine would install an app's dependencies by itself
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}


@dataclass(frozen=True)
class Commands:
    """What is run, as lists of words.

    Attributes:
        deployment: where everything lies.
        terms: ports and host.
    """

    deployment: Deployment
    terms: Terms

    def superlink(self) -> list[str]:
        """The engine's server, on loopback.

        It keeps messages and keys in memory: what nodes send is not written to the server's disk,
        which takes a round with large messages half of its time, and whoever starts it again
        registers the keys again.
        """
        server = self.deployment.server
        return [
            str(BIN / "flower-superlink"),
            *("--host", "127.0.0.1", "--port", str(self.terms.port)),
            *("--ssl-certfile", str(server.tls / "server.crt")),
            *("--ssl-keyfile", str(server.tls / "server.key")),
            *("--ssl-ca-certfile", str(server.tls / "ca.crt")),
            "--enable-supernode-auth",
            "--disable-runtime-dependency-installation",
        ]

    def supernode(self, name: str, address: str, port: int) -> list[str]:
        """The engine's client of a node.

        Args:
            name: of the node.
            address: of the server, ``host:port``.
            port: of the SuperNode's own runtime, on loopback.
        """
        node = self.deployment.node(name)
        return [
            str(BIN / "flower-supernode"),
            *("--superlink", address),
            *("--root-certificates", str(node.ca)),
            *("--auth-supernode-private-key", str(node.key)),
            *("--host", "127.0.0.1", "--port", str(port)),
        ]

    def kept(self, command: list[str]) -> list[str]:
        """A command that is started again whenever it ends, as a supervisor does it.

        After its end the server takes a SuperNode's key again only when its heartbeat has run out.
        """
        return ["bash", "-c", f'while :; do "$@"; sleep {RESTART_SECONDS}; done', "kept", *command]

    def agent(self, name: str) -> list[str]:
        """A node's shard agent."""
        shard = self.deployment.node(name).shard
        return [str(BIN / "ufgraphfr"), "agent", "--shard", str(shard)]

    def register(self, name: str) -> list[str]:
        """Makes a node's key known to the server."""
        key = str(self.deployment.node(name).public_key)
        return [str(BIN / "flwr"), "supernode", "register", key, "--name", name, "--format", "json"]

    def registered(self) -> list[str]:
        """Lists the nodes whose keys the server knows."""
        return [str(BIN / "flwr"), "supernode", "list", "--format", "json"]

    def submit(self) -> list[str]:
        """Starts the run."""
        return [str(BIN / "flwr"), "run", str(self.deployment.server.app), "--format", "json"]

    def server_environment(self) -> dict[str, str]:
        """Of the SuperLink and of what operates it."""
        return self._environment(self.deployment.server.home)

    def node_environment(self, name: str) -> dict[str, str]:
        """Of a node's SuperNode and agent."""
        node = self.deployment.node(name)
        socket = {"UFGRAPHFR_AGENT": str(node.shard / "agent.sock")}
        return self._environment(node.home) | socket

    def _environment(self, home: Path) -> dict[str, str]:
        path = os.pathsep.join((str(BIN), os.environ.get("PATH", os.defpath)))
        threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        return {**os.environ, **ENGINE, **threads, "PATH": path, "FLWR_HOME": str(home)}
