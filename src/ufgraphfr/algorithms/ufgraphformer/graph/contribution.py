"""What clients contribute to the item graph: sums over them of three matrices, block by block.

The upper triangle of the co-interactions and, where histories have an order, all of what followed
what, soon or at once; small whole numbers. A block is some rows of each; which, is public. Its
arrays are flat. Those of a large catalogue, of which nearly all is zero, are sparse tensors; they
mean, and travel as, the same dense ones.
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
from ufgraphfr.core.arrays.cells import coalesced
from ufgraphfr.core.messages import State
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.item_graph import co_interactions, successions
from ufgraphfr.ops.item_pairs import pair_cells, succession_cells


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

    @property
    def starts(self) -> Tensor:
        """Where each row's entries of the upper triangle begin, and end, int64 ``[rows + 1]``."""
        row = torch.arange(len(self.rows) + 1)
        return row * (self.items - self.rows.start) - row * (row - 1) // 2

    def contribution(self, batch: ClientBatch, ordered: bool) -> State:
        """What these clients add, whole numbers ``[entries]``, summed over them."""
        if self.spec.is_dense(self.items):
            return self._dense(batch, ordered)
        histories = batch.ptr, batch.items, self.items
        weights, starts = self.spec.weights.to(batch.items.device), self.starts
        cells, sums = pair_cells(*histories, self.rows)
        row, column = cells // self.items, cells % self.items
        places = starts.to(cells.device)[row] + column - row - self.rows.start
        found = {PAIRS: _flat(places, narrow(sums, len(batch)), int(starts[-1]))}
        if ordered:
            for name, each, most in ((NEXT, weights, LEVELS), (STEP, weights[:1] * 0 + 1, 1)):
                cells, sums = succession_cells(*histories, each, self.rows)
                sums = narrow(sums, len(batch) * most)
                found[name] = _flat(cells, sums, len(self.rows) * self.items)
        return found

    def entries(self, name: str, flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows and columns of the entries of an array ``[entries]`` that are not zero, and these.

        Rows are those of the catalogue; they and columns are ascending.
        """
        sparse = flat if flat.is_sparse else flat.to_sparse()
        place, value = sparse.indices()[0], sparse.values()
        if name != PAIRS:
            return place // self.items + self.rows.start, place % self.items, value
        starts = self.starts.to(place.device)
        row = torch.searchsorted(starts, place, right=True) - 1
        first = row + self.rows.start
        return first, place - starts[row] + first, value

    def _dense(self, batch: ClientBatch, ordered: bool) -> State:
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
        rows, columns, value = self.entries(PAIRS, arrays[PAIRS])
        diagonal = rows == columns
        has = torch.zeros(self.items, dtype=torch.bool, device=rows.device)
        has[rows[diagonal]] = True
        others = torch.zeros_like(has)
        others[columns] = True
        # a row of the history holds the same items as any other, from its own position on
        after = others.flip(0).cumsum(0).flip(0)
        feasible = bool((value == 1).all()) and bool(has[rows].all())
        if not feasible or len(rows) != int(after[has].sum()):
            return False
        if NEXT not in arrays or STEP not in arrays:
            return True
        # of the columns before its own rows a block does not say whether the client has them
        others[: self.rows.start] = True
        return all(
            bool((value <= bound).all() and has[rows].all() and others[columns].all())
            for bound, (rows, columns, value) in (
                (LEVELS, self.entries(NEXT, arrays[NEXT])),
                (1, self.entries(STEP, arrays[STEP])),
            )
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


def _flat(places: Tensor, values: Tensor, size: int) -> Tensor:
    return coalesced(places[None], values, (size,))
