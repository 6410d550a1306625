"""The item graph of a catalogue whose pairs of items fit into memory.

A contribution is the upper triangle of a symmetric matrix of small whole numbers; clients send
it in ``rounds`` parts of about equal size, each a public block of the matrix's rows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.graph.config import (
    COUNTS,
    LEVELS,
    SHRINK,
    GraphSpec,
    low_pass_factors,
    narrow,
)
from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.core.messages import State
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.item_graph import (
    co_interactions,
    cooccurrence,
    largest,
    normalised,
    ridge_inverse,
)
from ufgraphfr.ops.recency import propagate, recency

SUMS = ("graph.pairs", "graph.cooccurrence")


@dataclass(frozen=True)
class DenseGraph:
    """Three dense operators; see `ItemGraph` for what they are."""

    spec: GraphSpec

    @property
    def integer_bounds(self) -> dict[str, int]:
        """The most that one client adds to an entry of each sum."""
        return dict(zip(SUMS, (1, LEVELS), strict=True))

    def contribution(self, batch: ClientBatch, round_number: int) -> State:
        """What these clients add, whole numbers ``[entries]``, summed over them.

        Args:
            batch: the clients' data.
            round_number: from 1 to ``rounds``: which rows.
        """
        items, device = batch.n_items, batch.items.device
        rows = self.rows(items, round_number)
        histories = batch.ptr, batch.items, items
        weights = self.spec.weights.to(device)
        blocks = co_interactions(*histories, rows), cooccurrence(*histories, weights, rows)
        upper = _upper(rows, items, device)
        return {
            name: narrow(block[upper], len(batch) * bound)
            for (name, bound), block in zip(self.integer_bounds.items(), blocks, strict=True)
        }

    def item_views(self, arrays: State, items: int, round_number: int) -> State:
        """The largest entry of each item in clients' parts, ``[clients, items, 1]`` each."""
        rows = self.rows(items, round_number)
        return {name: _largest_by_item(arrays[name], rows, items) for name in SUMS}

    def is_feasible(self, arrays: State, items: int, round_number: int) -> bool:
        """Whether one client could have contributed these: pairs and gaps of one history."""
        pairs, near = (arrays[name].flatten().long() for name in SUMS)
        rows = self.rows(items, round_number)
        upper = _upper(rows, items, pairs.device)
        block = torch.zeros(upper.shape, dtype=torch.int64, device=pairs.device)
        block[upper] = pairs
        has = block.diagonal(rows.start)
        # a row of the history holds the same items as any other, from its own position on
        others = block.amax(0)
        possible = torch.outer(has, others).where(upper, torch.zeros_like(block))
        return bool(
            (pairs <= 1).all() and torch.equal(block, possible) and (near <= LEVELS * pairs).all()
        )

    def empty(self, items: int) -> State:
        """Sums and operators before anybody has contributed."""
        nothing: State = {name: torch.zeros(items, items) for name in (*SUMS, "graph.inverse")}
        few = {"graph.low_pass": torch.zeros(items, self.spec.rank), COUNTS: torch.zeros(items)}
        return nothing | few

    def collected(self, state: State, sums: State, round_number: int) -> State:
        """The sums with one more part of their rows."""
        items = len(state[COUNTS])
        rows = self.rows(items, round_number)
        upper = _upper(rows, items, state[COUNTS].device)
        kept = {name: state[name].clone() for name in SUMS}
        for name in SUMS:
            kept[name][rows.start : rows.stop][upper] = sums[name].to(kept[name].dtype)
        return kept

    def operators(self, sums: State) -> State:
        """Operators from the upper triangles; co-occurrence takes the place of its sums."""
        pairs, near = (value.triu() + value.triu(1).T for value in (sums[name] for name in SUMS))
        total = pairs.diagonal().clone()
        return {
            "graph.pairs": pairs.new_zeros(0),
            "graph.cooccurrence": normalised(near / LEVELS, total, SHRINK),
            "graph.inverse": ridge_inverse(pairs, self.spec.ridge).float(),
            "graph.low_pass": low_pass(pairs, self.spec.power, self.spec.rank),
            COUNTS: total,
        }

    def rows(self, items: int, round_number: int) -> range:
        """The rows of one part; parts hold about equally many entries of the upper triangle."""
        rounds = self.spec.rounds
        left = 1 - torch.arange(rounds + 1, dtype=torch.float64) / rounds
        bounds = (items * (1 - left.sqrt())).round().long().tolist()
        return range(bounds[round_number - 1], bounds[round_number])

    def scores(self, shared: State, inputs: ClientBatch) -> Tensor:
        """Each operator's scores of the whole history, float ``[3, clients, items]``."""
        weights = recency(inputs.ptr, self.spec.decay)
        history = inputs.ptr, inputs.items, weights
        inverse = shared["graph.inverse"]
        ridge = -propagate(*history, inverse) / inverse.diagonal().clamp(min=_TINY)
        # the ridge operator has no diagonal: what an item would add to itself is taken back
        owner = owners(inputs.ptr, len(inputs.items))
        ridge.index_put_((owner, inputs.items), weights.to(ridge.dtype), accumulate=True)
        near = propagate(*history, shared["graph.cooccurrence"])
        into, out = low_pass_factors(shared, self.spec.power)
        # for lasting taste all of a history counts alike
        smooth = propagate(inputs.ptr, inputs.items, torch.ones_like(weights), into) @ out
        return torch.stack((ridge, near, smooth))

    def cooccurrence(self, state: State) -> Tensor:
        """The co-occurrence operator with its diagonal, float ``[items, items]``."""
        total = state[COUNTS]
        return state["graph.cooccurrence"] + torch.diag(total / (total + SHRINK))


_TINY = 1e-12
"""Keeps a division finite; nothing measured comes near it."""


def low_pass(gram: Tensor, power: float, rank: int) -> Tensor:
    """The smoothest directions of the co-interactions: eigenvectors of G_ij / (n_i n_j)^power.

    Shen et al., "How powerful is graph convolution for recommendation?", CIKM 2021: repeated
    convolution over the item graph tends to the projection on these.

    Args:
        gram: float ``[items, items]``, the co-interactions.
        power: in the paper one half; less lets popular items count for more.
        rank: how many.

    Returns:
        float32 ``[items, rank]``, orthonormal columns (zero beyond ``items``).
    """
    scale = gram.diagonal().clamp(min=1) ** -power
    generator = torch.Generator().manual_seed(0)
    vectors, _ = largest(gram * torch.outer(scale, scale), rank, generator)
    return torch.nn.functional.pad(vectors, (0, rank - vectors.shape[1]))


def _largest_by_item(sums: Tensor, rows: range, items: int) -> Tensor:
    """Over the row and the column of each item, ``[clients, items, 1]``."""
    upper = _upper(rows, items, sums.device)
    block = sums.new_zeros(len(sums), *upper.shape)
    block[:, upper] = sums
    by_item = block.amax(1) if len(rows) else sums.new_zeros(len(sums), items)
    in_rows = by_item[:, rows.start : rows.stop]
    by_item[:, rows.start : rows.stop] = torch.maximum(in_rows, block.amax(2))
    return by_item[..., None]


def _upper(rows: range, items: int, device: torch.device) -> Tensor:
    """Which entries of a block of rows lie on or above the diagonal, bool ``[rows, items]``."""
    row = torch.arange(rows.start, rows.stop, device=device)
    return torch.arange(items, device=device) >= row[:, None]
