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
from pydantic import Field
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.messages import State
from ufgraphfr.core.rows import owners
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.shards import Shard
from ufgraphfr.ops.item_graph import (
    co_interactions,
    low_pass,
    nearness,
    normalised,
    ridge_inverse,
    spectral,
)
from ufgraphfr.ops.leave_own_out import near_scores, past_sums, ridge_scores
from ufgraphfr.ops.recency import propagate, recency

LARGEST = 30_000
"""Items up to which the operators are held densely (3.6 GB each)."""
SUMS = ("graph.pairs", "graph.near")


class ItemGraph(Spec):
    """Hyper-parameters of the item graph."""

    rounds: int = Field(8, ge=1)
    """Rounds over which the contributions are spread."""
    ridge: float = Field(1000.0, gt=0)
    """Regulariser of the ridge operator."""
    reach: int = Field(20, ge=1)
    """The farthest distance between two items that are near each other."""
    near: float = Field(0.9, gt=0, le=1)
    """Nearness of two items relative to two that lie one place nearer."""
    levels: int = Field(7, ge=1)
    """Nearness is rounded to whole numbers up to this."""
    shrink: float = Field(5.0, ge=0)
    """Pulls the links of rare items to zero."""
    decay: float = Field(0.8, gt=0, le=1)
    """Weight of a history item relative to the next one."""
    rank: int = Field(64, ge=1)
    """Smoothest directions that are kept."""
    power: float = Field(0.2, ge=0, le=0.5)
    """How far they discount popular items."""
    smooth_decay: float = Field(1.0, gt=0, le=1)
    """As ``decay``, for the smooth part: lasting taste."""

    @property
    def weights(self) -> Tensor:
        """What a client adds for two items 1, 2, ... places apart, whole, float ``[reach]``."""
        return (self.levels * self.near ** torch.arange(self.reach)).round()

    @property
    def whole(self) -> dict[str, int]:
        """The most that one client adds to an entry of each sum."""
        return dict(zip(SUMS, (1, self.levels), strict=True))

    def contribution(self, shard: Shard, round_number: int) -> dict[str, Tensor]:
        """What these clients add, whole numbers ``[entries]``, summed over them.

        Args:
            shard: the clients' data.
            round_number: from 1 to ``rounds``: which rows.
        """
        rows = self._rows(shard.catalogue, round_number)
        own = (shard.ptr, shard.items, shard.catalogue)
        weights = self.weights.to(shard.items.device)
        blocks = co_interactions(*own, rows), nearness(*own, weights, rows)
        upper = _upper(rows, shard.catalogue, shard.items.device)
        return {
            name: _narrow(block[upper], len(shard) * self.whole[name])
            for name, block in zip(SUMS, blocks, strict=True)
        }

    def by_item(self, sums: Tensor, items: int, round_number: int) -> Tensor:
        """The largest entry of each item in clients' parts, ``[clients, items, 1]``."""
        rows = self._rows(items, round_number)
        upper = _upper(rows, items, sums.device)
        block = sums.new_zeros(len(sums), *upper.shape)
        block[:, upper] = sums
        largest = block.amax(1) if len(rows) else sums.new_zeros(len(sums), items)
        own = largest[:, rows.start : rows.stop]
        largest[:, rows.start : rows.stop] = torch.maximum(own, block.amax(2))
        return largest[..., None]

    def plausible(self, arrays: dict[str, Tensor], items: int, round_number: int) -> bool:
        """Whether one client could have contributed these: pairs and nearness of one history."""
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
        """Sums and operators before anybody has contributed.

        Raises:
            InputError: the catalogue is too large for dense operators.
        """
        if items > LARGEST:
            raise InputError(
                f"the item graph holds items^2 numbers, too many for {items:,} items (at most "
                f"{LARGEST:,}): set graph = false under [algorithm]"
            )
        nothing: State = {name: torch.zeros(items, items) for name in (*SUMS, "graph.inverse")}
        few = {"graph.smooth": torch.zeros(items, self.rank), "graph.counts": torch.zeros(items)}
        return nothing | few

    def collected(self, state: State, sums: dict[str, Tensor], round_number: int) -> State:
        """The server's memory with one more part of the sums, and at last the operators."""
        items = len(state["graph.counts"])
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

    def scores(self, shared: dict[str, Tensor], inputs: Shard) -> Tensor:
        """Each operator's scores of the whole history, float ``[3, clients, items]``."""
        weights = recency(inputs.ptr, self.decay)
        own = inputs.ptr, inputs.items, weights
        inverse = shared["graph.inverse"]
        together = -propagate(*own, inverse) / inverse.diagonal().clamp(min=_TINY)
        # the ridge operator has no diagonal: what an item would add to itself is taken back
        owner = owners(inputs.ptr, len(inputs.items))
        together.index_put_((owner, inputs.items), weights.to(together.dtype), accumulate=True)
        near = propagate(*own, shared["graph.near"])
        into, out = self._smooth(shared)
        lasting = recency(inputs.ptr, self.smooth_decay)
        smooth = propagate(inputs.ptr, inputs.items, lasting, into) @ out
        return torch.stack((together, near, smooth))

    def training_scores(self, shared: dict[str, Tensor], seen: Tensor, shard: Shard) -> Tensor:
        """Each operator's scores at every place of a stretch, by everybody else's graph.

        Of the smooth part a client's own share is left in: few directions hold little of it.

        Args:
            shared: the operators.
            seen: int64 ``[clients, length]``, a stretch of each history, -1 after its end.
            shard: the clients' whole histories.

        Returns:
            float ``[3, clients, length, items]``.
        """
        weights = self.weights.to(seen.device) / self.levels
        counts, near = shared["graph.counts"], shared["graph.near"]
        into, out = self._smooth(shared)
        own = seen, shared["graph.inverse"], shard.ptr, shard.items
        return torch.stack(
            (
                ridge_scores(*own, self.decay),
                near_scores(seen, near, counts, self.shrink, weights, self.decay),
                past_sums(seen, into, self.smooth_decay) @ out,
            )
        )

    def _smooth(self, shared: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The smooth operator as factors ``[items, rank]`` and ``[rank, items]``."""
        scale = shared["graph.counts"].clamp(min=1)[:, None] ** self.power
        vectors = shared["graph.smooth"]
        return vectors / scale, (vectors * scale).T

    def item_vectors(self, state: State, dim: int, generator: torch.Generator) -> Tensor:
        """Item vectors ``[items, dim]`` whose products approximate nearness, of unit variance."""
        # an item is as near to itself as can be
        total = state["graph.counts"]
        operator = state["graph.near"] + torch.diag(total / (total + self.shrink))
        vectors = spectral(operator, dim, generator)
        return vectors / vectors.std().clamp(min=_TINY)


_TINY = 1e-12
"""Keeps a division finite; nothing measured comes near it."""


def _upper(rows: range, items: int, device: torch.device) -> Tensor:
    """Which entries of a block of rows lie on or above the diagonal, bool ``[rows, items]``."""
    row = torch.arange(rows.start, rows.stop, device=device)
    return torch.arange(items, device=device) >= row[:, None]


def _narrow(counts: Tensor, bound: int) -> Tensor:
    """The same whole numbers, at most ``bound``, in the fewest bytes."""
    kinds = (torch.uint8, torch.int16, torch.int32, torch.int64)
    return counts.to(next(kind for kind in kinds if bound <= torch.iinfo(kind).max))
