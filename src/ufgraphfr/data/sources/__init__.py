"""Data sets: one file each. Dropping a file in here makes it a ``[data] kind``."""

from ufgraphfr.core.spec import Registry
from ufgraphfr.data.sources.base import Source

SOURCES: Registry[Source] = Registry(__name__, Source, "data set")  # type: ignore[type-abstract]
