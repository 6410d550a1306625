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
from ufgraphfr.core.messages import State
from ufgraphfr.ops.item_graph import smoothest

Entries = tuple[Tensor, Tensor, Tensor]
"""Rows, columns and values, each ``[entries]``."""
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
        rows, columns, value = _entries(state, PAIRS, items)
        diagonal = rows == columns
        total = torch.zeros(items, device=value.device)
        total[rows[diagonal]] = value[diagonal]
        rows, columns, value = rows[~diagonal], columns[~diagonal], value[~diagonal]
        both = torch.cat((rows, columns)), torch.cat((columns, rows)), torch.cat((value, value))
        found = {COUNTS: total, "graph.low_pass": self._low_pass(both, total)}
        found |= self._links("cosine", both, total)
        if f"{NEXT}.cells" in state:
            rows, columns, value = _entries(state, NEXT, items)
            after = rows, columns, value / LEVELS
            found |= self._links("next", after, total)
            found |= self._links("cooccurrence", _with_transpose(after, items), total)
            rows, columns, value = _entries(state, STEP, items)
            found |= self._strongest("step", (rows, columns, value / (total[rows] + 1)), items)
        return found | {name: state[name][:0] for name in LISTS & state.keys()}

    def _links(self, name: str, entries: Entries, total: Tensor) -> State:
        """As `item_graph.normalised`."""
        rows, columns, value = entries
        root = total.clamp(min=1).sqrt()
        scaled = value / (root[rows] * root[columns] + SHRINK)
        return self._strongest(name, (rows, columns, scaled), len(total))

    def _strongest(self, name: str, entries: Entries, items: int) -> State:
        index, kept = links.strongest(*entries, (items, min(self.spec.neighbors, items)))
        return {f"graph.{name}.index": index, f"graph.{name}": kept}

    def _low_pass(self, entries: Entries, total: Tensor) -> Tensor:
        """See `dense.low_pass`; the diagonal is the counts."""
        rows, columns, value = entries
        scale, items = total.clamp(min=1) ** -self.spec.power, len(total)
        each = torch.arange(items, device=rows.device)
        cells = torch.stack((torch.cat((rows, each)), torch.cat((columns, each))))
        entry = torch.cat((value * scale[rows] * scale[columns], total * scale.square()))
        graph = torch.sparse_coo_tensor(cells, entry, (items, items), check_invariants=False)
        return smoothest(graph.coalesce(), self.spec.rank)

    def propagated(
        self, shared: State, name: str, history: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor:
        """Weighted histories sent through an operator, float ``[clients, items]``."""
        operator = shared[f"graph.{name}.index"], shared[f"graph.{name}"]
        return links.propagate_links(*history, *operator)

    def with_diagonal(self, state: State, name: str, diagonal: Tensor) -> Tensor:
        """A symmetric operator with a diagonal, sparse ``[items, items]``."""
        return links.matrix(state[f"graph.{name}.index"], state[f"graph.{name}"], diagonal)


def _entries(state: State, name: str, items: int) -> Entries:
    cells = state[f"{name}.cells"]
    return cells // items, cells % items, state[f"{name}.sums"]


def _with_transpose(entries: Entries, items: int) -> Entries:
    rows, columns, value = entries
    cells = torch.stack((torch.cat((rows, columns)), torch.cat((columns, rows))))
    both = torch.sparse_coo_tensor(
        cells, torch.cat((value, value)), (items, items), check_invariants=False
    )
    summed = both.coalesce()
    rows, columns = summed.indices()
    return rows, columns, summed.values()
