"""Malicious clients, simulated: one file each makes a ``[federation.adversary] kind``."""

from ufgraphfr.core.spec import Registry
from ufgraphfr.federation.adversaries.base import Adversary

ADVERSARIES: Registry[Adversary] = Registry(__name__, Adversary, "adversary")  # type: ignore[type-abstract]
