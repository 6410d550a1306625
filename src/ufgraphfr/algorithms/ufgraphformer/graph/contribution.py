"""What clients contribute to the item graph: sums of matrices and vectors, block by block.

The upper triangle of the co-interactions, each of which counts less in a long history, and what
each client has; where histories have an order, all of what followed what, soon or at once, and what
each client had last; small whole numbers. A block is some rows of each; which, is public. Its
arrays are flat. Matrices of a large catalogue, of which nearly all is zero, are sparse tensors;
they mean, and travel as, the same dense ones. Blocks take turns item by item: catalogues often
begin with popular items, and one block would have nearly all pairs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.graph.config import (
    COUNTS,
    LATELY,
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
from ufgraphfr.ops.item_pairs import succession_cells, upper_pair_cells


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
        """Each round asks for as many, and for one of items that stand beside each other."""
        return range(self.round_number - 1, self.items, self.spec.rounds)

    @property
    def places(self) -> slice:
        """The same among all items."""
        return slice(self.rows.start, self.rows.stop, self.rows.step)

    @property
    def upper(self) -> Tensor:
        """Which entries lie on or above the diagonal, bool ``[rows, items]``."""
        return torch.arange(self.items) >= torch.tensor(self.rows)[:, None]

    @property
    def starts(self) -> Tensor:
        """Where each row's entries of the upper triangle begin, and end, int64 ``[rows + 1]``."""
        row = torch.arange(len(self.rows) + 1)
        return row * (self.items - self.rows.start) - self.rows.step * (row * (row - 1) // 2)

    def contribution(self, batch: ClientBatch, ordered: bool) -> State:
        """What these clients add, whole numbers ``[entries]``, summed over them."""
        sums = (self._dense if self.spec.is_dense(self.items) else self._sparse)(batch, ordered)
        having = torch.bincount(batch.items, minlength=self.items)[self.places]
        sums[COUNTS] = narrow(having, len(batch))
        return sums | self._lately(batch) if ordered else sums

    def _sparse(self, batch: ClientBatch, ordered: bool) -> State:
        histories = batch.ptr, batch.items, self.items
        weights, starts = self.spec.weights.to(batch.items.device), self.starts
        weighted = self.spec.pair_weights(batch.counts)
        cells, sums = upper_pair_cells(*histories, weighted, self.rows)
        row, column = cells // self.items, cells % self.items
        places = starts.to(cells.device)[row] + column - self._item(row)
        sums = narrow(sums, len(batch) * LEVELS)
        found = {PAIRS: _flat(places, sums, int(starts[-1]))}
        if ordered:
            for name, each, most in ((NEXT, weights, LEVELS), (STEP, weights[:1] * 0 + 1, 1)):
                cells, sums = succession_cells(*histories, each, self.rows)
                sums = narrow(sums, len(batch) * most)
                found[name] = _flat(cells, sums, len(self.rows) * self.items)
        return found

    def _lately(self, batch: ClientBatch) -> State:
        """What these clients had last, by item ``[rows]``, the later the more."""
        weights = self.spec.lately.to(batch.items.device)
        age = (batch.ptr[1:] - 1).repeat_interleave(batch.counts)
        age -= torch.arange(len(batch.items), device=age.device)
        late = age < len(weights)
        found = weights.new_zeros(self.items).index_add_(0, batch.items[late], weights[age[late]])
        own = found[self.places]
        return {LATELY: narrow(own, len(batch) * LEVELS)}

    def entries(self, name: str, flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows and columns of the entries of an array ``[entries]`` that are not zero, and these.

        Rows are those of the catalogue; they and columns are ascending.
        """
        sparse = flat if flat.is_sparse else flat.to_sparse()
        place, value = sparse.indices()[0], sparse.values()
        if name != PAIRS:
            return self._item(place // self.items), place % self.items, value
        starts = self.starts.to(place.device)
        row = torch.searchsorted(starts, place, right=True) - 1
        first = self._item(row)
        return first, place - starts[row] + first, value

    def begun(self, name: str) -> tuple[Tensor, Tensor]:
        """Where each row of an array begins, int64 ``[rows + 1]``, and at which column."""
        if name == PAIRS:
            return self.starts, torch.tensor(self.rows)
        ends = torch.arange(len(self.rows) + 1) * self.items
        return ends, torch.zeros(len(self.rows), dtype=torch.int64)

    def _item(self, row: Tensor) -> Tensor:
        """From places among the rows to items."""
        return self.rows.start + row * self.rows.step

    def _dense(self, batch: ClientBatch, ordered: bool) -> State:
        histories, device = (batch.ptr, batch.items, self.items), batch.items.device
        pairs = co_interactions(*histories, self.rows, self.spec.pair_weights(batch.counts))
        sums = {PAIRS: narrow(pairs[self.upper.to(device)], len(batch) * LEVELS)}
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
        if not bool(has[rows].all()) or len(rows) != int(after[has].sum()):
            return False
        # all pairs of a client count the same, and no more than for the items that are told
        most = self.spec.pair_weights((has | others).sum())
        if len(value) and not 1 <= int(value[0]) <= int(most):
            return False
        if not bool((value == value[:1]).all()):
            return False
        own = has[self.places]
        if COUNTS in arrays and not torch.equal(arrays[COUNTS].flatten(), own.to(arrays[COUNTS])):
            return False
        if not {NEXT, STEP, LATELY} <= arrays.keys():
            return True
        lately = arrays[LATELY].flatten()
        weights = self.spec.lately.to(lately)
        largest = lately[lately > 0].sort(descending=True).values
        if len(largest) > len(weights) or bool((largest > weights[: len(largest)]).any()):
            return False
        if not bool(own[lately > 0].all()):
            return False
        # of what is before the first row that the client has, a block tells of its rows alone
        others[: int(rows[0]) if len(rows) else self.items] = True
        others[self.places] = own
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
        for name in (COUNTS, LATELY):
            if name in arrays:
                by_item = arrays[name].new_zeros(len(arrays[name]), self.items)
                by_item[:, self.places] = arrays[name]
                views[name] = by_item[..., None]
        return views

    def _largest(self, block: Tensor) -> Tensor:
        """Over the row and the column of each item."""
        by_item = block.amax(1) if len(self.rows) else block.new_zeros(len(block), self.items)
        in_rows = by_item[:, self.places]
        in_rows.copy_(torch.maximum(in_rows, block.amax(2)))
        return by_item[..., None]


def _flat(places: Tensor, values: Tensor, size: int) -> Tensor:
    return coalesced(places[None], values, (size,))
