"""Centralised baselines: one file each. They see everybody's training rows; clients never."""

from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.spec import Registry

BASELINES: Registry[Baseline] = Registry(__name__, Baseline, "baseline")  # type: ignore[type-abstract]
