"""Federated algorithms: one file each. Dropping a file in here makes it an ``[algorithm] kind``."""

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.spec import Registry

ALGORITHMS: Registry[Algorithm] = Registry(__name__, Algorithm, "algorithm")  # type: ignore[type-abstract]
