"""UFGraphFR: a user graph from joint-layer changes; `model` is the method as repaired."""

from ufgraphfr.algorithms.ufgraphfr.model import UFGraphFR

__all__ = ["UFGraphFR"]
