"""The item graph of a large catalogue: each item's strongest links, collected through a sketch.

A client's nearness sums are added up in a public hash of the columns into ``buckets``: the sums
have a fixed size, linear in the items, and do not show which pairs a client has once they are
added to those of others. The server reads each item's ``neighbors`` strongest links out of them and
forgets the sums; there is no ridge operator, its scores are 0, and the smooth part is that of the
links.

What is not offered: a contribution alone shows its owner's items (a row that is not zero), as a
dense one does, so sums must be formed where nobody looks at single ones. It is dense on the wire,
``items * buckets`` small numbers, 100 MB for 100,000 items: bearable for silos and shards of users
that add up first, much for a phone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.algorithms._graph_spec import GraphSpec
from ufgraphfr.core.messages import State
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops import links
from ufgraphfr.ops.item_graph import largest, nearness, spectral
from ufgraphfr.ops.recency import propagate, recency

SPARSE_SUMS = ("graph.counts", "graph.sketch")


@dataclass(frozen=True)
class SparseGraph:
    """What `ItemGraph` does, for a large catalogue; see there for the methods."""

    spec: GraphSpec

    @property
    def integer_bounds(self) -> dict[str, int]:
        """The most that one client adds to an entry of each sum."""
        # all items near one of them could share a bucket
        return dict(zip(SPARSE_SUMS, (1, 2 * int(self.spec.weights.sum())), strict=True))

    def contribution(self, batch: ClientBatch, round_number: int) -> dict[str, Tensor]:
        """Counts ``[rows]`` and the sketch ``[rows * buckets]`` of one part of the items."""
        items, device = batch.n_items, batch.items.device
        rows, bucket = self._rows(items, round_number), self._bucket(items).to(device)
        own = batch.ptr, batch.items, items, self.spec.weights.to(device)
        counts = torch.bincount(batch.items, minlength=items)[rows.start : rows.stop]
        sums = counts, nearness(*own, rows, bucket).flatten()
        return {
            name: narrow(value, len(batch) * self.integer_bounds[name])
            for name, value in zip(SPARSE_SUMS, sums, strict=True)
        }

    def empty(self, items: int) -> State:
        """Sums and operators before anybody has contributed."""
        size = items, min(self.spec.neighbors, items)
        return {
            "graph.counts": torch.zeros(items),
            "graph.sketch": torch.zeros(items, min(self.spec.buckets, items)),
            "graph.index": torch.zeros(size, dtype=torch.int32),
            "graph.near": torch.zeros(size),
            "graph.smooth": torch.zeros(items, self.spec.rank),
        }

    def collected(self, state: State, sums: dict[str, Tensor], round_number: int) -> State:
        """The server's memory with one more part of the sums, and at last the operators."""
        rows = self._rows(len(state["graph.counts"]), round_number)
        kept = {name: state[name].clone() for name in SPARSE_SUMS}
        for name in SPARSE_SUMS:
            here = kept[name][rows.start : rows.stop]
            here.copy_(sums[name].view(here.shape))
        return state | (self._operators(kept) if round_number == self.spec.rounds else kept)

    def _operators(self, sums: State) -> State:
        total, sketch = sums["graph.counts"], sums["graph.sketch"] / self.spec.levels
        bucket = self._bucket(len(total)).to(sketch.device)
        index, near = links.strongest(sketch, bucket, total, self.spec.shrink, self.spec.neighbors)
        root = total.clamp(min=1).sqrt()
        raw = near * (root[:, None] * root[index] + self.spec.shrink)
        scale = total.clamp(min=1) ** -self.spec.power
        graph = links.matrix(index, raw * scale[:, None] * scale[index], total * scale.square())
        generator = torch.Generator().manual_seed(0)
        smooth, _ = largest(graph, self.spec.rank, generator)
        return {
            "graph.counts": total,
            "graph.sketch": sketch.new_zeros(0),
            "graph.index": index,
            "graph.near": near,
            "graph.smooth": torch.nn.functional.pad(smooth, (0, self.spec.rank - smooth.shape[1])),
        }

    def _bucket(self, items: int) -> Tensor:
        return links.buckets(items, min(self.spec.buckets, items))

    def _rows(self, items: int, round_number: int) -> range:
        """The rows of one part."""
        bounds = [items * part // self.spec.rounds for part in (round_number - 1, round_number)]
        return range(*bounds)

    def scores(self, shared: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """Each operator's scores of the whole history, float ``[3, clients, items]``."""
        own, spec = (inputs.ptr, inputs.items), self.spec
        operator = shared["graph.index"], shared["graph.near"]
        near = links.propagate_links(*own, recency(inputs.ptr, spec.decay), *operator)
        into, out = smooth_factors(shared, spec.power)
        smooth = propagate(*own, recency(inputs.ptr, spec.smooth_decay), into) @ out
        return torch.stack((torch.zeros_like(near), near, smooth))

    def item_vectors(self, state: State, dim: int, generator: torch.Generator) -> Tensor:
        """Item vectors ``[items, dim]`` whose products approximate nearness, of unit variance."""
        total = state["graph.counts"]
        diagonal = total / (total + self.spec.shrink)
        graph = links.matrix(state["graph.index"], state["graph.near"], diagonal)
        vectors = spectral(graph, dim, generator)
        return vectors / vectors.std().clamp(min=torch.finfo(vectors.dtype).tiny)


def smooth_factors(shared: dict[str, Tensor], power: float) -> tuple[Tensor, Tensor]:
    """The smooth operator as factors ``[items, rank]`` and ``[rank, items]``."""
    scale = shared["graph.counts"].clamp(min=1)[:, None] ** power
    vectors = shared["graph.smooth"]
    return vectors / scale, (vectors * scale).T


def narrow(counts: Tensor, bound: int) -> Tensor:
    """The same whole numbers, at most ``bound``, in the fewest bytes."""
    kinds = (torch.uint8, torch.int16, torch.int32, torch.int64)
    return counts.to(next(kind for kind in kinds if bound <= torch.iinfo(kind).max))
