"""The ports of a deployment on one machine."""

import contextlib
import socket
from collections.abc import Iterable

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.server.settings import ServerSettings


def check_ports(settings: ServerSettings, names: list[str], running: Iterable[str]) -> None:
    """Try every port that is about to be bound, all at once.

    Raises:
        InputError: one is taken, by another process or by a second part of this deployment.
    """
    ports = {
        "port": (settings.port, "superlink"),
        "metrics_port": (settings.metrics_port, "superlink"),
    }
    for index, name in enumerate(names):
        ports[f"node_port, of {name}"] = (settings.node_port + index, f"supernode-{name}")
    with contextlib.ExitStack() as stack:
        for key, (port, process) in ports.items():
            if port == 0 or process in running:
                continue
            probe = stack.enter_context(socket.socket())
            # as servers do: connections that have just ended do not count
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                probe.listen()
            except (OSError, OverflowError):
                raise InputError(
                    f"port {port} ({key}) is taken or not to be had: end what listens there, or "
                    f"name another in server/server.toml (deploy init --port, --node-port)"
                ) from None


def listens(port: int) -> bool:
    """Whether something listens at a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
