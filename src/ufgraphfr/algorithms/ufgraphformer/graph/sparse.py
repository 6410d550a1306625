"""The item graph of a large catalogue: each item's strongest links, collected through a sketch.

A client's co-occurrence sums are added up in a public hash of the columns into ``buckets``: they
have a fixed size, linear in the items, and do not show which pairs a client has once they are added
to those of others. The server reads each item's ``neighbors`` strongest links out of them and
forgets the sums. There is no ridge operator, its scores are 0; the low-pass one is that of the
links.

What is not offered: a contribution alone shows its owner's items (a row that is not zero), as a
dense one does, so sums must be formed where nobody looks at single ones. It is dense on the wire,
``items * buckets`` small numbers, 100 MB for 100,000 items: bearable for silos and shards of users
that add up first, much for a phone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.graph import links
from ufgraphfr.algorithms.ufgraphformer.graph.config import (
    COUNTS,
    LEVELS,
    SHRINK,
    GraphSpec,
    low_pass_factors,
    narrow,
)
from ufgraphfr.core.messages import State
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.item_graph import cooccurrence, largest
from ufgraphfr.ops.recency import propagate, recency

SUMS = (COUNTS, "graph.sketch")


@dataclass(frozen=True)
class SparseGraph:
    """What `DenseGraph` does, for a large catalogue; see there for the methods."""

    spec: GraphSpec

    @property
    def integer_bounds(self) -> dict[str, int]:
        """The most that one client adds to an entry of each sum."""
        # all items near one of them could share a bucket
        return dict(zip(SUMS, (1, 2 * int(self.spec.weights.sum())), strict=True))

    def contribution(self, batch: ClientBatch, round_number: int) -> State:
        """Counts ``[rows]`` and the sketch ``[rows * buckets]`` of one part of the items."""
        items, device = batch.n_items, batch.items.device
        rows, bucket = self._rows(items, round_number), self._bucket(items).to(device)
        histories = batch.ptr, batch.items, items
        counts = torch.bincount(batch.items, minlength=items)[rows.start : rows.stop]
        sketch = cooccurrence(*histories, self.spec.weights.to(device), rows, bucket).flatten()
        return {
            name: narrow(value, len(batch) * self.integer_bounds[name])
            for name, value in zip(SUMS, (counts, sketch), strict=True)
        }

    def item_views(self, arrays: State, items: int, round_number: int) -> State:
        """A part holds the rows of some items alone: they stay as they are."""
        return {}

    def is_feasible(self, arrays: State, items: int, round_number: int) -> bool:
        """Whether one client could have contributed these."""
        bounds = self.integer_bounds
        return all(bool((arrays[name] <= bounds[name]).all()) for name in SUMS)

    def empty(self, items: int) -> State:
        """Sums and operators before anybody has contributed."""
        size = items, min(self.spec.neighbors, items)
        return {
            COUNTS: torch.zeros(items),
            "graph.sketch": torch.zeros(items, min(self.spec.buckets, items)),
            "graph.index": torch.zeros(size, dtype=torch.int32),
            "graph.cooccurrence": torch.zeros(size),
            "graph.low_pass": torch.zeros(items, self.spec.rank),
        }

    def collected(self, state: State, sums: State, round_number: int) -> State:
        """The sums with one more part of their rows."""
        rows = self._rows(len(state[COUNTS]), round_number)
        kept = {name: state[name].clone() for name in SUMS}
        for name in SUMS:
            here = kept[name][rows.start : rows.stop]
            here.copy_(sums[name].view(here.shape))
        return kept

    def operators(self, sums: State) -> State:
        """Links and their smoothest directions; the sketch is forgotten."""
        total, sketch = sums[COUNTS], sums["graph.sketch"] / LEVELS
        bucket = self._bucket(len(total)).to(sketch.device)
        index, near = links.strongest(sketch, bucket, total, SHRINK, self.spec.neighbors)
        root = total.clamp(min=1).sqrt()
        raw = near * (root[:, None] * root[index] + SHRINK)
        scale = total.clamp(min=1) ** -self.spec.power
        graph = links.matrix(index, raw * scale[:, None] * scale[index], total * scale.square())
        generator = torch.Generator().manual_seed(0)
        smooth, _ = largest(graph, self.spec.rank, generator)
        return {
            COUNTS: total,
            "graph.sketch": sketch.new_zeros(0),
            "graph.index": index,
            "graph.cooccurrence": near,
            "graph.low_pass": torch.nn.functional.pad(
                smooth, (0, self.spec.rank - smooth.shape[1])
            ),
        }

    def _bucket(self, items: int) -> Tensor:
        return links.buckets(items, min(self.spec.buckets, items))

    def _rows(self, items: int, round_number: int) -> range:
        """The rows of one part."""
        bounds = [items * part // self.spec.rounds for part in (round_number - 1, round_number)]
        return range(*bounds)

    def scores(self, shared: State, inputs: ClientBatch) -> Tensor:
        """Each operator's scores of the whole history, float ``[3, clients, items]``."""
        weights = recency(inputs.ptr, self.spec.decay)
        operator = shared["graph.index"], shared["graph.cooccurrence"]
        near = links.propagate_links(inputs.ptr, inputs.items, weights, *operator)
        into, out = low_pass_factors(shared, self.spec.power)
        smooth = propagate(inputs.ptr, inputs.items, torch.ones_like(weights), into) @ out
        return torch.stack((torch.zeros_like(near), near, smooth))

    def cooccurrence(self, state: State) -> Tensor:
        """The co-occurrence operator with its diagonal, sparse ``[items, items]``."""
        total = state[COUNTS]
        diagonal = total / (total + SHRINK)
        return links.matrix(state["graph.index"], state["graph.cooccurrence"], diagonal)
