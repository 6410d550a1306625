"""Attacks: one file each. Dropping a file in here makes it an ``audit --attack``."""

from ufgraphfr.audit.attacks.base import Attack
from ufgraphfr.core.spec import Registry

ATTACKS: Registry[Attack] = Registry(__name__, Attack, "attack")  # type: ignore[type-abstract]
