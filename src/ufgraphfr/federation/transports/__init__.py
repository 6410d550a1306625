"""Transports to simulated clients: one file each makes a ``[federation] transport``."""

from ufgraphfr.core.spec import Registry
from ufgraphfr.federation.transports.base import TransportSpec

TRANSPORTS: Registry[TransportSpec] = Registry(__name__, TransportSpec, "transport")  # type: ignore[type-abstract]
