"""The public item operator of graph filters and LightGCN, from one symmetric sum over clients."""

from ufgraphfr.algorithms.item_operator.operator import OperatorSpec

__all__ = ["OperatorSpec"]
