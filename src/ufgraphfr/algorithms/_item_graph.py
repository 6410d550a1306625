"""Part A of UFGraphFormer: an item graph from sums of clients' contributions.

A client adds 1 to each pair of its items and, to pairs it met in order, 1 over their distance. The
server turns the sums into two operators: ridge regression (EASE) and normalised transitions. The
device propagates its own recency-weighted history over them: a linear graph network whose input
never leaves the device.
"""

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.core.messages import State
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.shards import Shard
from ufgraphfr.ops.item_graph import (
    co_interactions,
    ridge_operator,
    transition_operator,
    transitions,
)
from ufgraphfr.ops.recency import propagate, recency


class ItemGraph(Spec):
    """Hyper-parameters of the item graph."""

    ridge: float = Field(500.0, gt=0)
    """Regulariser of the ridge operator."""
    gaps: int = Field(5, ge=1)
    """The farthest distance between two items that counts as a transition."""
    shrink: float = Field(20.0, ge=0)
    """Pulls transitions between rare items to zero."""
    decay: float = Field(0.8, gt=0, le=1)
    """Weight of a history item relative to the next one."""

    def contribution(self, shard: Shard) -> dict[str, Tensor]:
        """What these clients add, float ``[items, items]`` each, summed over them."""
        own = (shard.ptr, shard.items, shard.catalogue)
        return {
            "graph.pairs": co_interactions(*own),
            "graph.transitions": transitions(*own, self.gaps),
        }

    def operators(self, sums: dict[str, Tensor]) -> State:
        """The server's operators from the sums over all clients."""
        pairs = sums["graph.pairs"]
        return {
            "graph.ridge": ridge_operator(pairs, self.ridge),
            "graph.next": transition_operator(
                sums["graph.transitions"], pairs.diagonal(), self.shrink
            ),
            "graph.counts": pairs.diagonal().clone(),
        }

    def scores(self, shared: dict[str, Tensor], inputs: Shard) -> tuple[Tensor, Tensor]:
        """Both propagations of each client's history, float ``[clients, items]``."""
        weights = recency(inputs.ptr, self.decay)
        together = propagate(inputs.ptr, inputs.items, weights, shared["graph.ridge"])
        following = propagate(inputs.ptr, inputs.items, weights, shared["graph.next"])
        return together, following

    @staticmethod
    def empty(items: int) -> State:
        """Operators before anybody has contributed."""
        operators = {name: torch.zeros(items, items) for name in ("graph.ridge", "graph.next")}
        return operators | {"graph.counts": torch.zeros(items)}
