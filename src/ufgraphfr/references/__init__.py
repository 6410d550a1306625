"""Centralised yardsticks: one file each. They see everybody's training rows; clients never."""

from ufgraphfr.core.spec import Registry
from ufgraphfr.references.base import Reference

REFERENCES: Registry[Reference] = Registry(__name__, Reference, "reference")  # type: ignore[type-abstract]
