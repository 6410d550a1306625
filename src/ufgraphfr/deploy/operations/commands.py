"""Command lines and environments of the processes of a deployment."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.server.settings import ServerSettings

BIN = Path(sys.executable).parent
"""Where this installation's console scripts are."""
RESTART_SECONDS = 5
ENGINE = {
    # seconds between two looks for work; otherwise 1
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2",
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    # otherwise the engine would install an app's dependencies
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}


@dataclass(frozen=True)
class Commands:
    """Command lines, as lists of words.

    Attributes:
        deployment: where everything is.
        settings: ports and host.
    """

    deployment: Deployment
    settings: ServerSettings

    def superlink(self) -> list[str]:
        """The engine's server, on loopback.

        It keeps messages and keys in memory. What nodes send is not written to the server's disk,
        which would take half of the time of a round with large messages. After a restart the keys
        must be registered again.
        """
        server = self.deployment.server
        return [
            str(BIN / "flower-superlink"),
            *("--host", "127.0.0.1", "--port", str(self.settings.port)),
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
            # nothing is imported from the current folder
            *(str(BIN / "python"), "-P", "-m", "ufgraphfr.deploy.flower.supernode"),
            *("--superlink", address),
            *("--root-certificates", str(node.ca)),
            *("--auth-supernode-private-key", str(node.key)),
            *("--host", "127.0.0.1", "--port", str(port)),
        ]

    def supervised(self, command: list[str]) -> list[str]:
        """A command that is started again whenever it ends.

        The server accepts the key of a SuperNode that ended only after its heartbeat has run out.
        """
        loop = f'while :; do "$@"; sleep {RESTART_SECONDS}; done'
        return ["bash", "-c", loop, "supervised", *command]

    def agent(self, name: str) -> list[str]:
        """A node's shard agent."""
        shard = self.deployment.node(name).shard
        return [str(BIN / "ufgraphfr"), "agent", "--shard", str(shard)]

    def continuing(self, if_better: bool) -> list[str]:
        """Begins the run that goes on from the last release; a worse model needs a person."""
        start = [str(BIN / "ufgraphfr"), "deploy", "start", str(self.deployment.path), "--continue"]
        return [*start, *(["--if-better"] if if_better else [])]

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
