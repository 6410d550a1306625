"""The server's own settings: how long it waits, for how many, and where it listens."""

import math

from pydantic import Field

from ufgraphfr.core.spec import Spec


class Terms(Spec):
    """The keys of ``server.toml``."""

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
    deadline: float = Field(120.0, gt=0)
    """Seconds a round waits for nodes."""
    quorum: float = Field(1.0, gt=0, le=1)
    """Share of the asked nodes that must answer; with fewer the run stops, and may be resumed."""
    patience: float = Field(180.0, gt=0)
    """Seconds the start waits for nodes to be there, and in a try-out for each process."""

    def needed(self, asked: int) -> int:
        """How many of the asked nodes must answer."""
        # a share like 2/3 is not exact
        return max(1, math.ceil(self.quorum * asked - 1e-9))
