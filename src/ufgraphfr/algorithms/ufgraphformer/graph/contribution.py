"""What clients contribute to the item graph: sums over them of two matrices, block by block.

The upper triangle of the co-interactions and, where histories have an order, all of what followed
what, soon or at once; small whole numbers. A block is some rows of both; which, is public.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.graph.config import (
    LEVELS,
    NEXT,
    PAIRS,
    STEP,
    GraphSpec,
    narrow,
)
from ufgraphfr.core.messages import State
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.item_graph import co_interactions, successions


@dataclass(frozen=True)
class Block:
    """The rows of one round.

    Attributes:
        spec: of the graph.
        items: how many there are.
        round_number: from 1 to ``spec.rounds``.
    """

    spec: GraphSpec
    items: int
    round_number: int

    @property
    def rows(self) -> range:
        """Each round asks for about as many."""
        ends = self.round_number - 1, self.round_number
        return range(*(self.items * end // self.spec.rounds for end in ends))

    @property
    def upper(self) -> Tensor:
        """Which entries lie on or above the diagonal, bool ``[rows, items]``."""
        return torch.arange(self.items) >= torch.tensor(self.rows)[:, None]

    def contribution(self, batch: ClientBatch, ordered: bool) -> State:
        """What these clients add, whole numbers ``[entries]``, summed over them."""
        histories, device = (batch.ptr, batch.items, self.items), batch.items.device
        pairs = co_interactions(*histories, self.rows)[self.upper.to(device)]
        sums = {PAIRS: narrow(pairs, len(batch))}
        if ordered:
            after = successions(*histories, self.spec.weights.to(device), self.rows)
            sums[NEXT] = narrow(after.flatten(), len(batch) * LEVELS)
            step = successions(*histories, torch.ones(1), self.rows)
            sums[STEP] = narrow(step.flatten(), len(batch))
        return sums

    def is_feasible(self, arrays: State) -> bool:
        """Whether one client could have contributed these: pairs and successions of a history."""
        pairs, upper = arrays[PAIRS].flatten().long(), self.upper.to(arrays[PAIRS].device)
        block = torch.zeros(upper.shape, dtype=torch.int64, device=pairs.device)
        block[upper] = pairs
        has, others = block.diagonal(self.rows.start), block.amax(0)
        # a row of the history holds the same items as any other, from its own position on
        possible = torch.outer(has, others).where(upper, torch.zeros_like(block))
        feasible = bool((pairs <= 1).all()) and torch.equal(block, possible)
        if NEXT not in arrays or STEP not in arrays:
            return feasible
        # of the columns before its own rows a block does not say whether the client has them
        before = torch.arange(self.items, device=pairs.device) < self.rows.start
        linked = torch.outer(has, torch.where(before, 1, others))
        return feasible and all(
            bool((arrays[name].view(upper.shape).long() <= bound * linked).all())
            for name, bound in ((NEXT, LEVELS), (STEP, 1))
        )

    def by_item(self, arrays: State) -> State:
        """The largest entry of each item in clients' blocks, ``[clients, items, 1]`` each."""
        upper, views = self.upper, {}
        for name in (PAIRS, NEXT, STEP):
            if name in arrays:
                block = arrays[name].new_zeros(len(arrays[name]), *upper.shape)
                if name == PAIRS:
                    block[:, upper] = arrays[name]
                else:
                    block = arrays[name].view(block.shape)
                views[name] = self._largest(block)
        return views

    def _largest(self, block: Tensor) -> Tensor:
        """Over the row and the column of each item."""
        by_item = block.amax(1) if len(self.rows) else block.new_zeros(len(block), self.items)
        in_rows = by_item[:, self.rows.start : self.rows.stop]
        in_rows.copy_(torch.maximum(in_rows, block.amax(2)))
        return by_item[..., None]
