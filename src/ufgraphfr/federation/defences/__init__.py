"""Defences against malicious clients: one file each makes a ``[federation.defence] kind``."""

from ufgraphfr.core.spec import Registry
from ufgraphfr.federation.defences.base import Defence

DEFENCES: Registry[Defence] = Registry(__name__, Defence, "defence")  # type: ignore[type-abstract]
