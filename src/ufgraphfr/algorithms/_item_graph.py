"""Part A of UFGraphFormer: an item graph from sums of clients' contributions.

A client adds 1 to each pair of its items and, to pairs that lie near each other in its history, the
more the nearer. The server turns the sums into three operators: the inverse that ridge regression
needs (EASE), normalised nearness, and a projection on the graph's smoothest directions. The device
propagates its own recency-weighted history over them: linear graph networks of one hop, one hop
and, in the limit, all hops, whose input never leaves the device.

A contribution is the upper triangle of a symmetric matrix of small whole numbers; clients send
it in ``rounds`` parts of about equal size, each a public block of the matrix's rows.
"""

import torch
from torch import Tensor

from ufgraphfr.algorithms._graph_spec import GraphSpec
from ufgraphfr.algorithms._sparse_graph import SPARSE_SUMS, SparseGraph, narrow, smooth_factors
from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.core.messages import State
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.item_graph import (
    co_interactions,
    low_pass,
    nearness,
    normalised,
    ridge_inverse,
    spectral,
)
from ufgraphfr.ops.recency import propagate, recency

SUMS = ("graph.pairs", "graph.near")


class ItemGraph(GraphSpec):
    """The item graph of a catalogue; beyond ``dense_items`` items see `_sparse_graph`."""

    def sparse(self, items: int) -> SparseGraph | None:
        """The sparse form, for a large catalogue."""
        return SparseGraph(self) if items > self.dense_items else None

    @property
    def integer_bounds(self) -> dict[str, int]:
        """The most that one client adds to an entry of each sum."""
        return dict(zip(SUMS, (1, self.levels), strict=True)) | SparseGraph(self).integer_bounds

    def collecting(self, sums: State) -> bool:
        """Whether these are sums for the graph."""
        return SUMS[0] in sums or SPARSE_SUMS[0] in sums

    def contribution(self, batch: ClientBatch, round_number: int) -> dict[str, Tensor]:
        """What these clients add, whole numbers ``[entries]``, summed over them.

        Args:
            batch: the clients' data.
            round_number: from 1 to ``rounds``: which rows.
        """
        if sparse := self.sparse(batch.n_items):
            return sparse.contribution(batch, round_number)
        rows = self._rows(batch.n_items, round_number)
        own = (batch.ptr, batch.items, batch.n_items)
        weights = self.weights.to(batch.items.device)
        blocks = co_interactions(*own, rows), nearness(*own, weights, rows)
        upper = _upper(rows, batch.n_items, batch.items.device)
        return {
            name: narrow(block[upper], len(batch) * self.integer_bounds[name])
            for name, block in zip(SUMS, blocks, strict=True)
        }

    def by_item(self, arrays: State, items: int, round_number: int) -> State:
        """The largest entry of each item in clients' parts, ``[clients, items, 1]`` each."""
        if self.sparse(items):
            return arrays
        rows = self._rows(items, round_number)
        return {name: _largest(value, rows, items) for name, value in arrays.items()}

    def is_feasible(self, arrays: dict[str, Tensor], items: int, round_number: int) -> bool:
        """Whether one client could have contributed these: pairs and nearness of one history."""
        if self.sparse(items):
            most = SparseGraph(self).integer_bounds
            return all(bool((arrays[name] <= most[name]).all()) for name in SPARSE_SUMS)
        pairs, near = (arrays[name].flatten().long() for name in SUMS)
        rows = self._rows(items, round_number)
        upper = _upper(rows, items, pairs.device)
        block = torch.zeros(upper.shape, dtype=torch.int64, device=pairs.device)
        block[upper] = pairs
        has = block.diagonal(rows.start)
        # a row of the history holds the same items as any other, from its own place on
        others = block.amax(0)
        possible = torch.outer(has, others).where(upper, torch.zeros_like(block))
        return bool(
            (pairs <= 1).all()
            and torch.equal(block, possible)
            and (near <= self.levels * pairs).all()
        )

    def empty(self, items: int) -> State:
        """Sums and operators before anybody has contributed."""
        if sparse := self.sparse(items):
            return sparse.empty(items)
        nothing: State = {name: torch.zeros(items, items) for name in (*SUMS, "graph.inverse")}
        few = {"graph.smooth": torch.zeros(items, self.rank), "graph.counts": torch.zeros(items)}
        return nothing | few

    def collected(self, state: State, sums: dict[str, Tensor], round_number: int) -> State:
        """The server's memory with one more part of the sums, and at last the operators."""
        items = len(state["graph.counts"])
        if sparse := self.sparse(items):
            return sparse.collected(state, sums, round_number)
        rows = self._rows(items, round_number)
        upper = _upper(rows, items, state["graph.counts"].device)
        kept = {name: state[name].clone() for name in SUMS}
        for name in SUMS:
            kept[name][rows.start : rows.stop][upper] = sums[name].to(kept[name].dtype)
        return state | (self._operators(kept) if round_number == self.rounds else kept)

    def _operators(self, sums: State) -> State:
        """Operators from the upper triangles; nearness takes the place of its sums."""
        pairs, near = (value.triu() + value.triu(1).T for value in (sums[name] for name in SUMS))
        total = pairs.diagonal().clone()
        return {
            "graph.pairs": pairs.new_zeros(0),
            "graph.near": normalised(near / self.levels, total, self.shrink),
            "graph.inverse": ridge_inverse(pairs, self.ridge).float(),
            "graph.smooth": low_pass(pairs, self.power, self.rank),
            "graph.counts": total,
        }

    def _rows(self, items: int, round_number: int) -> range:
        """The rows of one part; parts hold about equally many entries of the upper triangle."""
        left = 1 - torch.arange(self.rounds + 1, dtype=torch.float64) / self.rounds
        bounds = (items * (1 - left.sqrt())).round().long().tolist()
        return range(bounds[round_number - 1], bounds[round_number])

    def scores(self, shared: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """Each operator's scores of the whole history, float ``[3, clients, items]``."""
        if sparse := self.sparse(inputs.n_items):
            return sparse.scores(shared, inputs)
        weights = recency(inputs.ptr, self.decay)
        own = inputs.ptr, inputs.items, weights
        inverse = shared["graph.inverse"]
        together = -propagate(*own, inverse) / inverse.diagonal().clamp(min=_TINY)
        # the ridge operator has no diagonal: what an item would add to itself is taken back
        owner = owners(inputs.ptr, len(inputs.items))
        together.index_put_((owner, inputs.items), weights.to(together.dtype), accumulate=True)
        near = propagate(*own, shared["graph.near"])
        into, out = smooth_factors(shared, self.power)
        lasting = recency(inputs.ptr, self.smooth_decay)
        smooth = propagate(inputs.ptr, inputs.items, lasting, into) @ out
        return torch.stack((together, near, smooth))

    def item_vectors(self, state: State, dim: int, generator: torch.Generator) -> Tensor:
        """Item vectors ``[items, dim]`` whose products approximate nearness, of unit variance."""
        if sparse := self.sparse(len(state["graph.counts"])):
            return sparse.item_vectors(state, dim, generator)
        # an item is as near to itself as can be
        total = state["graph.counts"]
        operator = state["graph.near"] + torch.diag(total / (total + self.shrink))
        vectors = spectral(operator, dim, generator)
        return vectors / vectors.std().clamp(min=_TINY)


_TINY = 1e-12
"""Keeps a division finite; nothing measured comes near it."""


def _largest(sums: Tensor, rows: range, items: int) -> Tensor:
    """Over the row and the column of each item, ``[clients, items, 1]``."""
    upper = _upper(rows, items, sums.device)
    block = sums.new_zeros(len(sums), *upper.shape)
    block[:, upper] = sums
    largest = block.amax(1) if len(rows) else sums.new_zeros(len(sums), items)
    own = largest[:, rows.start : rows.stop]
    largest[:, rows.start : rows.stop] = torch.maximum(own, block.amax(2))
    return largest[..., None]


def _upper(rows: range, items: int, device: torch.device) -> Tensor:
    """Which entries of a block of rows lie on or above the diagonal, bool ``[rows, items]``."""
    row = torch.arange(rows.start, rows.stop, device=device)
    return torch.arange(items, device=device) >= row[:, None]
