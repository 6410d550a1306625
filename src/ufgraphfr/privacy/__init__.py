"""Mechanisms: one file each. Dropping a file in here makes it a ``[privacy] kind``."""

from ufgraphfr.core.spec import Registry
from ufgraphfr.privacy.base import Mechanism

MECHANISMS: Registry[Mechanism] = Registry(__name__, Mechanism, "privacy mechanism")  # type: ignore[type-abstract]
