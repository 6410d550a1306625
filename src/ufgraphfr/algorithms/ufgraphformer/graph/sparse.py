"""The item graph of a large catalogue: sums as lists of entries, operators as strongest links.

The sums are exact, and held as lists, of which those with the most of their items' pairs are kept
where there are more than ``most_pairs``. On the wire a block of them is dense, and for large
catalogues large: bearable for silos and shards of users that add up first, much for a phone. Of
each operator an item keeps its ``neighbors`` strongest links. There is no ridge operator, whose
inverse is dense.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.graph import links
from ufgraphfr.algorithms.ufgraphformer.graph.config import (
    CONTRIBUTED,
    COUNTS,
    LEVELS,
    NEXT,
    PAIRS,
    SHRINK,
    STEP,
    GraphSpec,
)
from ufgraphfr.algorithms.ufgraphformer.graph.contribution import Block
from ufgraphfr.algorithms.ufgraphformer.graph.pair_rows import PairRows, Weight
from ufgraphfr.core.arrays.cells import coalesced
from ufgraphfr.core.arrays.sparse_rows import pointers
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.messages import State
from ufgraphfr.ops.item_graph import smoothest

LISTS = frozenset(f"{name}.{part}" for name in CONTRIBUTED for part in ("held", "columns", "sums"))
"""In the server's memory while it collects: how many entries each row of a sum has, their columns,
and these, in the order in which rows come."""
_AT_ONCE = 2**22
"""Entries of a block that are read together."""


@dataclass(frozen=True)
class SparseGraph:
    """What `DenseGraph` does, in memory linear in the entries that are not zero."""

    spec: GraphSpec

    def empty(self, items: int, operators: tuple[str, ...]) -> State:
        """Sums and operators before anybody has contributed."""
        state = {}
        for name in operators:
            state[f"graph.{name}.index"] = torch.zeros(items, 0, dtype=torch.int32)
            state[f"graph.{name}"] = torch.zeros(items, 0)
        for name in (PAIRS, *((NEXT, STEP) if "next" in operators else ())):
            state[f"{name}.held"] = torch.zeros(items, dtype=torch.int64)
            state[f"{name}.columns"] = torch.zeros(0, dtype=torch.int32)
            state[f"{name}.sums"] = torch.zeros(0)
        return state

    def collected(self, state: State, sums: State, block: Block) -> State:
        """The sums with one more block.

        Raises:
            InputError: those before it are in the blocks of an earlier version.
        """
        added = {}
        for name in sums.keys() & CONTRIBUTED:
            if f"{name}.held" not in state:
                raise InputError(
                    "the checkpoint holds sums of the item graph in blocks of an earlier version, "
                    "which this one cannot continue: delete the run folder and start again"
                )
            own = self._bounded(_listed(name, sums[name], block), block)
            held = state[f"{name}.held"].clone()
            held[block.places] = own.ptr.diff()
            added[f"{name}.held"] = held
            added[f"{name}.columns"] = torch.cat((state[f"{name}.columns"], own.index))
            added[f"{name}.sums"] = torch.cat((state[f"{name}.sums"], own.value))
        return state | added

    def _bounded(self, own: PairRows, block: Block) -> PairRows:
        """A block with no more entries than are its share: large for what their items have.

        How much an item has is known of the block's own rows, and of its columns told by these.
        """
        most = max(self.spec.most_pairs // self.spec.rounds, len(own))
        if len(own.value) <= most:
            return own
        item = torch.tensor(block.rows, device=own.device)
        has = own.value.new_zeros(block.items)
        for _, places, rows in own.parts():
            value = own.value[places]
            has.index_add_(0, own.index[places].long(), value * self.spec.rounds)
            has.index_add_(0, item[rows], value)

        def weight(rows: Tensor, columns: Tensor, value: Tensor) -> Tensor:
            found = value / (has[item[rows]] * has[columns]).sqrt()
            # an item with itself says how many have it
            return found.masked_fill_(columns == item[rows], torch.inf)

        kept = own.weighted(weight).value.topk(most, sorted=False).indices.sort().values
        ptr = torch.searchsorted(kept, own.ptr)
        return PairRows(ptr, own.index[kept], own.value[kept])

    def operators(self, state: State) -> State:
        """Links and the smoothest directions; the sums are forgotten."""
        items = len(state[COUNTS])
        found = self._together(self._rows(state, PAIRS, items).mirrored())
        total = found[COUNTS]
        if f"{NEXT}.held" in state:
            after = self._rows(state, NEXT, items).weighted(
                lambda _rows, _columns, value: value / LEVELS
            )
            found |= self._links("next", after, total)
            found |= self._links("cooccurrence", after.mirrored(), total)
            step = self._rows(state, STEP, items)
            found |= self._strongest("step", step, lambda rows, _, value: value / (total[rows] + 1))
        return found | {name: state[name][:0] for name in LISTS & state.keys()}

    def _together(self, pairs: PairRows) -> State:
        """What is made of who has both; the rows are given up before others are made."""
        total = _diagonal(pairs)
        found = {COUNTS: total, "graph.low_pass": self._low_pass(pairs, total)}
        return found | self._links("cosine", pairs, total)

    def _rows(self, state: State, name: str, items: int) -> PairRows:
        blocks = (Block(self.spec, items, number + 1) for number in range(self.spec.rounds))
        order = torch.cat([torch.arange(items)[block.places] for block in blocks])
        held, index, sums = (state[f"{name}.{part}"] for part in ("held", "columns", "sums"))
        return PairRows.of(order.to(held.device), held, index, sums)

    def _links(self, name: str, pairs: PairRows, total: Tensor) -> State:
        """As `item_graph.normalised`."""
        root = total.clamp(min=1).sqrt()

        def weight(rows: Tensor, columns: Tensor, value: Tensor) -> Tensor:
            return value / (root[rows] * root[columns] + SHRINK)

        return self._strongest(name, pairs, weight)

    def _strongest(self, name: str, pairs: PairRows, weight: Weight) -> State:
        index, kept = pairs.strongest(weight, min(self.spec.neighbors, len(pairs)))
        return {f"graph.{name}.index": index, f"graph.{name}": kept}

    def _low_pass(self, pairs: PairRows, total: Tensor) -> Tensor:
        """See `dense.low_pass`; the diagonal is the counts."""
        scale = total.clamp(min=1) ** -self.spec.power

        def weight(rows: Tensor, columns: Tensor, value: Tensor) -> Tensor:
            return value * scale[rows] * scale[columns]

        return smoothest(pairs.weighted(weight), self.spec.rank)

    def propagated(
        self, shared: State, name: str, history: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor:
        """Weighted histories sent through an operator, float ``[clients, items]``."""
        operator = shared[f"graph.{name}.index"], shared[f"graph.{name}"]
        return links.propagate_links(*history, *operator)

    def with_diagonal(self, state: State, name: str, diagonal: Tensor) -> PairRows:
        """A symmetric operator with a diagonal, ``[items, items]``."""
        operator = state[f"graph.{name}.index"], state[f"graph.{name}"]
        return PairRows.symmetric(*operator, diagonal)


def _listed(name: str, flat: Tensor, block: Block) -> PairRows:
    """A block's sum as rows, some entries at a time."""
    sparse = flat if flat.is_sparse else flat.to_sparse()
    held = torch.zeros(block.items, dtype=torch.int64, device=flat.device)
    index, value = list[Tensor](), list[Tensor]()
    parts = (each.split(_AT_ONCE, -1) for each in (sparse.indices(), sparse.values()))
    for places, sums in zip(*parts, strict=True):
        own = coalesced(places, sums, tuple(sparse.shape))
        rows, columns, numbers = block.entries(name, own)
        held += torch.bincount(rows, minlength=block.items)
        index.append(columns.int())
        value.append(numbers.float())
    return PairRows(pointers(held[block.places]), torch.cat(index), torch.cat(value))


def _diagonal(pairs: PairRows) -> Tensor:
    """Float ``[items]``."""
    found = pairs.value.new_zeros(len(pairs))
    for _, places, rows in pairs.parts():
        own = pairs.index[places] == rows
        found[rows[own]] = pairs.value[places][own]
    return found
