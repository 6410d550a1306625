"""The server's own settings: how long it waits, for how many nodes, and where it listens."""

import math
from typing import ClassVar

from pydantic import Field

from ufgraphfr.core.spec import Spec


class ServerSettings(Spec):
    """The keys of ``server.toml``."""

    renamed: ClassVar[dict[str, str]] = {"deadline": "round_timeout", "patience": "startup_timeout"}

    host: str = "localhost"
    """By which nodes know the server; its certificate names it."""
    port: int = Field(8443, ge=1, le=65535)
    """Of the engine, on loopback; nodes elsewhere come through the proxy."""
    public_port: int = Field(443, ge=1, le=65535)
    """Of the proxy."""
    node_port: int = Field(9094, ge=1, le=65000)
    """Of a SuperNode's own runtime, on its loopback; in a try-out the n-th takes the n-th next."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """Of ``/metrics``, on loopback; 0 is any that is free."""
    round_timeout: float = Field(120.0, gt=0)
    """Seconds a round waits for nodes."""
    quorum: float = Field(1.0, gt=0, le=1)
    """Share of the asked nodes that must reply; with fewer the run stops, and can be resumed."""
    startup_timeout: float = Field(180.0, gt=0)
    """Seconds the start waits for nodes and, in a try-out, for each process."""

    def needed(self, asked: int) -> int:
        """How many of the asked nodes must reply."""
        # a share like 2/3 is not exact
        return max(1, math.ceil(self.quorum * asked - 1e-9))
