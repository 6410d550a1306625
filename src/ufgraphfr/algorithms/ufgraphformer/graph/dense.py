"""The item graph of a catalogue whose pairs of items fit into memory."""

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
    RARE_AFTER,
    RARE_BEFORE,
    SHRINK,
    STEP,
    GraphSpec,
)
from ufgraphfr.algorithms.ufgraphformer.graph.contribution import Block
from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.core.messages import State, Summed
from ufgraphfr.ops.item_graph import normalised, ridge_inverse, smoothest
from ufgraphfr.ops.recency import propagate

RIDGE = "graph.inverse"
_TINY = 1e-12
"""Keeps a division finite; nothing measured comes near it."""


@dataclass(frozen=True)
class DenseGraph:
    """Operators ``[items, items]``."""

    spec: GraphSpec
    ridge: ClassVar[str] = RIDGE.removeprefix("graph.")
    """What its ridge operator is called."""

    def empty(self, items: int, operators: tuple[str, ...]) -> State:
        """Sums and operators before anybody has contributed."""
        names = {PAIRS, *(f"graph.{name}" for name in operators)}
        return {name: torch.zeros(items, items) for name in sorted(names)}

    def collected(self, state: State, sums: Summed, block: Block) -> State:
        """The sums with one more block."""
        kept = {name: state[name].clone() for name in sums.keys() & CONTRIBUTED}
        for name in kept:
            rows, there = kept[name][block.places], sums[name]
            if name == PAIRS:
                rows[block.upper.to(rows.device)] = there.to(rows.dtype)
            else:
                rows.copy_(there.view(rows.shape))
        return kept

    def operators(self, state: State) -> State:
        """The operators from the sums, which they take the place of."""
        total, pairs = state[COUNTS], state[PAIRS].triu() + state[PAIRS].triu(1).T
        # of a client with the mean weight a pair counts 1
        pairs *= total.sum() / pairs.diagonal().sum().clamp(min=1)
        found = {
            PAIRS: pairs.new_zeros(0),
            RIDGE: ridge_inverse(pairs, self.spec.ridge).float(),
            "graph.low_pass": low_pass(pairs, total, self.spec.power, self.spec.rank),
        }
        found["graph.cosine"] = normalised(pairs.fill_diagonal_(0), total, SHRINK)
        if NEXT not in state:
            found["graph.conditional"] = conditional(pairs, total)
        else:
            after = state[NEXT] / LEVELS
            found["graph.cooccurrence"] = normalised(after + after.T, total, SHRINK)
            found[NEXT] = normalised(after, total, SHRINK)
            found[STEP] = state[STEP] / (total + 1)[:, None]
        return found

    def propagated(
        self, shared: State, name: str, history: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor:
        """Weighted histories sent through an operator, float ``[clients, items]``."""
        scores = propagate(*history, shared[f"graph.{name}"])
        if name != self.ridge:
            return scores
        ptr, items, weights = history
        ridge = -scores / shared[RIDGE].diagonal().clamp(min=_TINY)
        # the ridge operator has no diagonal: what an item would add to itself is taken back
        owner = owners(ptr, len(items))
        return ridge.index_put_((owner, items), weights.to(ridge.dtype), accumulate=True)

    def with_diagonal(self, state: State, name: str, diagonal: Tensor) -> Tensor:
        """A symmetric operator with a diagonal, ``[items, items]``."""
        return state[f"graph.{name}"] + torch.diag(diagonal)


def conditional(gram: Tensor, total: Tensor) -> Tensor:
    """How many of those who have an item have another, G_ij / (n_i + 1)^1.5 n_j^.25.

    Conditional probabilities, discounted by the candidate's frequency (Deshpande & Karypis, "Item-
    based top-N recommendation algorithms", TOIS 22(1), 2004); rare items of a history say more.

    Args:
        gram: float ``[items, items]``, the co-interactions.
        total: ``[items]``, n, how many clients have each item.

    Returns:
        float32 ``[items, items]``, from history item to candidate.
    """
    return gram * torch.outer(*conditional_scales(total))


def conditional_scales(total: Tensor) -> tuple[Tensor, Tensor]:
    """What co-interactions are multiplied by, for the history's item and the candidate."""
    return (total + 1) ** -RARE_BEFORE, total.clamp(min=1) ** -RARE_AFTER


def low_pass(gram: Tensor, total: Tensor, power: float, rank: int) -> Tensor:
    """The smoothest directions of the co-interactions: eigenvectors of G_ij / (n_i n_j)^power.

    Shen et al., "How powerful is graph convolution for recommendation?", CIKM 2021: repeated
    convolution over the item graph tends to the projection on these.

    Args:
        gram: float ``[items, items]``, the co-interactions.
        total: ``[items]``, n, how many clients have each item.
        power: in the paper one half; less lets popular items count for more.
        rank: how many.

    Returns:
        float32 ``[items, rank]``, orthonormal columns (zero beyond ``items``).
    """
    scale = total.clamp(min=1) ** -power
    return smoothest(gram * torch.outer(scale, scale), rank)
