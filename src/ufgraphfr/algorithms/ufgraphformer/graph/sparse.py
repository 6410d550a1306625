"""The item graph of a large catalogue: sums as lists of entries, operators as strongest links.

The sums are exact, and held as lists, of which those with the most of their items' pairs are kept
where there are more than ``most_pairs``. On the wire a block of them is dense, and for large
catalogues large: bearable for silos and shards of users that add up first, much for a phone. Of
each operator an item keeps its ``neighbors`` strongest links, and of the ridge operator, which is
made for each item among its nearest, its ``local_links``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

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
from ufgraphfr.algorithms.ufgraphformer.graph.dense import conditional_scales
from ufgraphfr.algorithms.ufgraphformer.graph.local_ridge import local_ridge
from ufgraphfr.algorithms.ufgraphformer.graph.pair_rows import (
    Mirrored,
    PairRows,
    Weight,
    strongest,
)
from ufgraphfr.core.allocator import give_back_freed_memory
from ufgraphfr.core.arrays.sparse_rows import pointers
from ufgraphfr.core.messages import State, Summed
from ufgraphfr.ops.fusion import Reached
from ufgraphfr.ops.item_graph import smoothest
from ufgraphfr.ops.largest import largest

_HELD, _COLUMNS, _SUMS = "held", "columns", "sums"
"""In the server's memory while it collects, after a sum's name: how many entries each row has, and
with a round's number their columns and these, in the order of its rows."""


@dataclass(frozen=True)
class SparseGraph:
    """What `DenseGraph` does, in memory linear in the entries that are not zero."""

    spec: GraphSpec
    ridge: ClassVar[str] = "ridge"
    """What its ridge operator is called, where histories have no order."""

    def empty(self, items: int, operators: tuple[str, ...]) -> State:
        """Sums and operators before anybody has contributed."""
        state = {}
        for name in operators:
            state[f"graph.{name}.index"] = torch.zeros(items, 0, dtype=torch.int32)
            state[f"graph.{name}"] = torch.zeros(items, 0)
        for name in (PAIRS, *((NEXT, STEP) if "next" in operators else ())):
            state[f"{name}.{_HELD}"] = torch.zeros(items, dtype=torch.int64)
        return state

    def collected(self, state: State, sums: Summed, block: Block) -> State:
        """The sums with one more block, which is taken from what came."""
        added = {}
        for name in sorted(sums.keys() & CONTRIBUTED):
            own = self._bounded(_Entries.of(name, sums.pop(name), block))
            held = state[f"{name}.{_HELD}"].clone()
            held[block.places] = own.ptr.diff()
            added[f"{name}.{_HELD}"] = held
            added[f"{name}.{_COLUMNS}.{block.round_number}"] = own.index
            added[f"{name}.{_SUMS}.{block.round_number}"] = own.value
        # what came is in pieces all over the heap, and what follows needs others
        give_back_freed_memory()
        return state | added

    def _bounded(self, own: "_Entries") -> PairRows:
        """A block with no more entries than are its share: large for what their items have.

        How much an item has is known of the block's own rows, and of its columns told by these.
        """
        block, count = own.block, len(own.came.value)
        most = max(self.spec.most_pairs // self.spec.rounds, len(block.rows))
        if count <= most:
            return own.listed(None)
        item = torch.tensor(block.rows, device=own.came.device)
        has = torch.zeros(block.items, device=own.came.device)
        for _, rows, columns, value in own.parts():
            has.index_add_(0, columns, value * self.spec.rounds)
            has.index_add_(0, item[rows], value)
        weights = torch.empty(count, device=own.came.device)
        for places, rows, columns, value in own.parts():
            weight = value / (has[item[rows]] * has[columns]).sqrt()
            # an item with itself says what its clients' pairs count
            weights[places] = weight.masked_fill_(columns == item[rows], torch.inf)
        return own.listed(largest(weights, most))

    def operators(self, state: State) -> State:
        """Links and the smoothest directions; the sums are forgotten."""
        total, items = state[COUNTS], len(state[COUNTS])
        ordered = f"{NEXT}.{_HELD}" in state
        found = self._together(Mirrored.of(self._rows(state, PAIRS, items)), total, ordered)
        give_back_freed_memory()
        if ordered:
            after = self._rows(state, NEXT, items).weighted(
                lambda _rows, _columns, value: value / LEVELS
            )
            found |= self._links("next", after, total)
            found |= self._links("cooccurrence", Mirrored.of(after), total)
            del after
            give_back_freed_memory()
            step = self._rows(state, STEP, items)
            found |= self._strongest("step", step, lambda rows, _, value: value / (total[rows] + 1))
            del step
        give_back_freed_memory()
        return found

    def _together(self, pairs: Mirrored, total: Tensor, ordered: bool) -> State:
        """What is made of who has both; the rows are given up before others are made."""
        # of a client with the mean weight a pair counts 1
        unit = total.sum() / _diagonal(pairs.own).sum().clamp(min=1)
        for own in (pairs.own, pairs.turned):
            own.value.mul_(unit)
        found = {"graph.low_pass": self._low_pass(pairs, total)}
        found |= self._links("cosine", pairs, total)
        return found if ordered else found | self._without_order(pairs, total, found)

    def _without_order(self, pairs: Mirrored, total: Tensor, found: State) -> State:
        """What stands in for what came next: `dense.conditional`, and the ridge operator.

        Of the latter an item's nearest are its strongest links of *cosine*.
        """
        near = slice(0, self.spec.local_links)
        index, cosine = (found[f"graph.cosine{each}"][:, near] for each in (".index", ""))
        ridge = local_ridge(pairs, index, cosine > 0, self.spec.local_ridge)
        before, after = conditional_scales(total)

        def weight(rows: Tensor, columns: Tensor, value: Tensor) -> Tensor:
            return value * before[rows] * after[columns]

        also = self._strongest("conditional", pairs, weight)
        return also | {"graph.ridge.index": index.clone(), "graph.ridge": ridge}

    def _rows(self, state: State, name: str, items: int) -> PairRows:
        """A sum as rows in the order of items, from those of its rounds."""
        held = state[f"{name}.{_HELD}"]
        blocks = [Block(self.spec, items, number + 1) for number in range(self.spec.rounds)]
        rows = [torch.arange(items, device=held.device)[block.places] for block in blocks]
        lists = [
            (own, state[f"{name}.{_COLUMNS}.{n}"], state[f"{name}.{_SUMS}.{n}"])
            for n, own in enumerate(rows, 1)
        ]
        return PairRows.of(lists, held)

    def _links(self, name: str, pairs: PairRows | Mirrored, total: Tensor) -> State:
        """As `item_graph.normalised`."""
        root = total.clamp(min=1).sqrt()

        def weight(rows: Tensor, columns: Tensor, value: Tensor) -> Tensor:
            return value / (root[rows] * root[columns] + SHRINK)

        return self._strongest(name, pairs, weight)

    def _strongest(self, name: str, pairs: PairRows | Mirrored, weight: Weight) -> State:
        index, kept = strongest(pairs, weight, min(self.spec.neighbors, len(pairs)))
        return {f"graph.{name}.index": index, f"graph.{name}": kept}

    def _low_pass(self, pairs: Mirrored, total: Tensor) -> Tensor:
        """See `dense.low_pass`."""
        scale = total.clamp(min=1) ** -self.spec.power

        def weight(rows: Tensor, columns: Tensor, value: Tensor) -> Tensor:
            return value * scale[rows] * scale[columns]

        return smoothest(pairs.weighted(weight), self.spec.rank)

    def propagated(
        self, shared: State, name: str, history: tuple[Tensor, Tensor, Tensor]
    ) -> Reached:
        """Weighted histories sent through an operator, ``[clients, items]``."""
        operator = shared[f"graph.{name}.index"], shared[f"graph.{name}"]
        return Reached(*history, *operator)

    def with_diagonal(self, state: State, name: str, diagonal: Tensor) -> Mirrored:
        """A symmetric operator with a diagonal, ``[items, items]``."""
        operator = state[f"graph.{name}.index"], state[f"graph.{name}"]
        return Mirrored.of_links(*operator, diagonal)


@dataclass(frozen=True)
class _Entries:
    """A block's sum as it came, of which some entries are looked at together.

    Attributes:
        block: its rows.
        came: these, with places in the array, int64, for columns.
        shift: int64 ``[rows]``, from places to columns.
    """

    block: Block
    came: PairRows
    shift: Tensor

    @classmethod
    def of(cls, name: str, flat: Tensor, block: Block) -> "_Entries":
        """From a flat array, sparse or not."""
        sparse = flat if flat.is_sparse else flat.to_sparse()
        places = sparse.indices()[0]
        starts, first = (each.to(places.device) for each in block.begun(name))
        ptr = torch.searchsorted(places, starts)
        return cls(block, PairRows(ptr, places, sparse.values()), first - starts[:-1])

    def parts(self) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
        """Which, their places among the block's rows, their columns and float sums."""
        for _, own, rows in self.came.parts():
            columns = self.came.index[own] + self.shift[rows]
            yield own, rows, columns, self.came.value[own].float()

    def listed(self, chosen: Tensor | None) -> PairRows:
        """Those that are chosen, or all."""
        held = torch.zeros(len(self.shift), dtype=torch.int64, device=self.came.device)
        index, value = list[Tensor](), list[Tensor]()
        for places, *own in self.parts():
            kept = own if chosen is None else [each[chosen[places]] for each in own]
            rows, columns, sums = kept
            held += torch.bincount(rows, minlength=len(held))
            index.append(columns.int())
            value.append(sums)
        return PairRows(pointers(held), torch.cat(index), torch.cat(value))


def is_list(name: str) -> bool:
    """Whether an array of the server's memory is a sum that is being collected."""
    first, _, rest = name.removeprefix("graph.").partition(".")
    return f"graph.{first}" in CONTRIBUTED and rest.split(".")[0] in (_HELD, _COLUMNS, _SUMS)


def _diagonal(pairs: PairRows) -> Tensor:
    """Float ``[items]``."""
    found = pairs.value.new_zeros(len(pairs))
    for _, places, rows in pairs.parts():
        own = pairs.index[places] == rows
        found[rows[own]] = pairs.value[places][own]
    return found
