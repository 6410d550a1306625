"""Part A of UFGraphFormer: an item graph from sums of clients' contributions.

A client adds 1 to each pair of its items and, to pairs it met in order, 1 over their distance. The
server turns the sums into two operators: ridge regression (EASE) and normalised transitions. The
device propagates its own recency-weighted history over them: a linear graph network whose input
never leaves the device.
"""

import math

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.core.errors import InputError
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

LARGEST = 30_000
"""Items up to which the operators are held densely (3.6 GB each)."""


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
        """What these clients add, whole numbers ``[items, items]`` each, summed over them.

        Transitions are counted in units of 1 / `_unit`, so that they are whole too; a client meets
        a pair at one distance only, which bounds the sums and so the bytes of a number.
        """
        own = (shard.ptr, shard.items, shard.catalogue)
        ordered = transitions(*own, self.gaps) * self._unit
        return {
            "graph.pairs": _narrow(co_interactions(*own), len(shard)),
            "graph.transitions": _narrow(ordered.round(), len(shard) * self._unit),
        }

    def plausible(self, arrays: dict[str, Tensor]) -> bool:
        """Whether one client could have contributed these: pairs of one history, met in order."""
        pairs, ordered = (
            arrays[name].long().flatten(0, -2) for name in ("graph.pairs", "graph.transitions")
        )
        has = pairs.diagonal()
        possible = torch.outer(has, has)
        most = sum(self._unit // gap for gap in range(1, self.gaps + 1))
        return bool(
            (has <= 1).all()
            and torch.equal(pairs, possible)
            and (ordered <= self._unit * possible).all()
            and (ordered.sum(0) <= most).all()
            and (ordered.sum(1) <= most).all()
        )

    @property
    def _unit(self) -> int:
        return math.lcm(*range(1, self.gaps + 1))

    def operators(self, sums: dict[str, Tensor]) -> State:
        """The server's operators from the sums over all clients."""
        pairs = sums["graph.pairs"]
        return {
            "graph.ridge": ridge_operator(pairs, self.ridge),
            "graph.next": transition_operator(
                sums["graph.transitions"] / self._unit, pairs.diagonal(), self.shrink
            ),
            "graph.counts": pairs.diagonal().float(),
        }

    def scores(self, shared: dict[str, Tensor], inputs: Shard) -> tuple[Tensor, Tensor]:
        """Both propagations of each client's history, float ``[clients, items]``."""
        weights = recency(inputs.ptr, self.decay)
        together = propagate(inputs.ptr, inputs.items, weights, shared["graph.ridge"])
        following = propagate(inputs.ptr, inputs.items, weights, shared["graph.next"])
        return together, following

    @staticmethod
    def empty(items: int) -> State:
        """Operators before anybody has contributed.

        Raises:
            InputError: the catalogue is too large for dense operators.
        """
        if items > LARGEST:
            raise InputError(
                f"the item graph holds items^2 numbers, too many for {items:,} items (at most "
                f"{LARGEST:,}): set graph = false under [algorithm]"
            )
        operators = {name: torch.zeros(items, items) for name in ("graph.ridge", "graph.next")}
        return operators | {"graph.counts": torch.zeros(items)}


def _narrow(counts: Tensor, bound: int) -> Tensor:
    """The same whole numbers, at most ``bound``, in the fewest bytes."""
    kinds = (torch.uint8, torch.int16, torch.int32, torch.int64)
    return counts.to(next(kind for kind in kinds if bound <= torch.iinfo(kind).max))
