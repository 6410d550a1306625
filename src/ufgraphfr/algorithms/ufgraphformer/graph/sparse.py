"""The item graph of a large catalogue: sums as lists of entries, operators as strongest links.

The sums are exact, and held as lists. On the wire a block of them is dense, and for large
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
from ufgraphfr.core.messages import State
from ufgraphfr.ops.item_graph import smoothest

LISTS = frozenset(f"{name}.{part}" for name in CONTRIBUTED for part in ("cells", "sums"))
"""In the server's memory while it collects: where each sum has entries, and these."""


@dataclass(frozen=True)
class SparseGraph:
    """What `DenseGraph` does, in memory linear in the entries that are not zero."""

    spec: GraphSpec

    def empty(self, items: int, operators: tuple[str, ...]) -> State:
        """Sums and operators before anybody has contributed."""
        size, state = (items, min(self.spec.neighbors, items)), {}
        for name in operators:
            state[f"graph.{name}.index"] = torch.zeros(size, dtype=torch.int32)
            state[f"graph.{name}"] = torch.zeros(size)
        for name in (PAIRS, *((NEXT, STEP) if "next" in operators else ())):
            state |= {f"{name}.cells": torch.zeros(0, dtype=torch.int64)}
            state |= {f"{name}.sums": torch.zeros(0)}
        return state

    def collected(self, state: State, sums: State, block: Block) -> State:
        """The sums with one more block."""
        added = {}
        for name in sums.keys() & CONTRIBUTED:
            rows, columns, value = block.entries(name, sums[name])
            cells = rows * block.items + columns
            added[f"{name}.cells"] = torch.cat((state[f"{name}.cells"], cells))
            added[f"{name}.sums"] = torch.cat((state[f"{name}.sums"], value.float()))
        return state | added

    def operators(self, state: State) -> State:
        """Links and the smoothest directions; the sums are forgotten."""
        items = len(state[COUNTS])
        pairs = _rows(state, PAIRS, items).mirrored()
        total = _diagonal(pairs)
        found = {COUNTS: total, "graph.low_pass": self._low_pass(pairs, total)}
        found |= self._links("cosine", pairs, total)
        if f"{NEXT}.cells" in state:
            after = _rows(state, NEXT, items).weighted(
                lambda _rows, _columns, value: value / LEVELS
            )
            found |= self._links("next", after, total)
            found |= self._links("cooccurrence", after.mirrored(), total)
            step = _rows(state, STEP, items)
            found |= self._strongest("step", step, lambda rows, _, value: value / (total[rows] + 1))
        return found | {name: state[name][:0] for name in LISTS & state.keys()}

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

    def with_diagonal(self, state: State, name: str, diagonal: Tensor) -> Tensor:
        """A symmetric operator with a diagonal, sparse ``[items, items]``."""
        return links.matrix(state[f"graph.{name}.index"], state[f"graph.{name}"], diagonal)


def _rows(state: State, name: str, items: int) -> PairRows:
    return PairRows.of(state[f"{name}.cells"], state[f"{name}.sums"], items)


def _diagonal(pairs: PairRows) -> Tensor:
    """Float ``[items]``."""
    found = pairs.value.new_zeros(len(pairs))
    for _, places, rows in pairs.parts():
        own = pairs.index[places] == rows
        found[rows[own]] = pairs.value[places][own]
    return found
