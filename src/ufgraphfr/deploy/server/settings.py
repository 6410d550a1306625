"""The server's own settings: how long it waits, for how many nodes, and where it listens."""

import ipaddress
import math
import re
from typing import ClassVar

from pydantic import Field, field_validator

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.spec import Spec

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?")


def bare_host(value: str) -> str:
    """A host as certificates, units and the proxy name it: IPv4, or a DNS name of A-labels.

    Raises:
        InputError: it is neither.
    """
    try:
        if ipaddress.ip_address(value).version == 4:
            return value
    except ValueError:
        pass
    else:
        raise InputError(f"host '{value}' is an IPv6 address: give a name that leads to it")
    try:
        name = value.lower().encode("idna").decode("ascii").lower()
        # that codec writes some letters as others, such as two s for a sharp one
        same = value.lower() in (name, name.encode().decode("idna"))
    except UnicodeError:
        name, same = "", False
    labels = name.split(".")
    fits = all(map(_LABEL.fullmatch, labels)) and len(name) <= 253
    if not (same and fits) or labels[-1].isdecimal():
        raise InputError(
            f"host '{value}' is no name of a host: give the bare name (or its xn-- form) or IPv4 "
            f"address, without https://, port or path"
        )
    return name


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
    every: str = Field("7d", pattern=r"^[1-9][0-9]{0,3}(min|h|d|w)$")
    """Between two runs, by the timer of ``systemd/``; read by ``deploy init`` alone."""
    round_timeout: float = Field(120.0, gt=0)
    """Seconds a round waits for nodes."""
    quorum: float = Field(1.0, gt=0, le=1)
    """Share of the asked nodes that must reply; with fewer the run stops, and can be resumed."""
    startup_timeout: float = Field(180.0, gt=0)
    """Seconds the start waits for nodes and, in a try-out, for each process."""

    @field_validator("host")
    @classmethod
    def _bare(cls, value: str) -> str:
        return bare_host(value)

    @property
    def minutes(self) -> int:
        """Between two runs."""
        count = self.every.rstrip("minhdw")
        return int(count) * {"min": 1, "h": 60, "d": 1440, "w": 10080}[self.every[len(count) :]]

    def needed(self, asked: int) -> int:
        """How many of the asked nodes must reply."""
        # a share like 2/3 is not exact
        return max(1, math.ceil(self.quorum * asked - 1e-9))
