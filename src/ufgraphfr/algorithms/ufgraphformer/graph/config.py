"""Hyper-parameters of the item graph, and the names of what is collected and kept of it."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.core.spec import Spec

LEVELS = 7
"""Successions and the weights of pairs are rounded to whole numbers up to this, three bits: of
successions two or four change nothing, of pairs four or five."""
SHRINK = 5.0
"""Pulls the links of rare items to zero; from the search that the operators were screened in."""
RARE_BEFORE, RARE_AFTER = 1.5, 0.25
"""How much less a popular item of the history, and a popular candidate, count in *conditional*."""
SHORT = 5
"""Items of a history up to which each of its pairs counts as much as can be."""
PAIRS, NEXT, STEP = "graph.pairs", "graph.next", "graph.step"
"""What clients contribute: co-interactions, what followed what soon, and what at once."""
DENSE_PAIR_BYTES = 6 * 4
"""A dense graph is six matrices of items times items in 32 bits."""
COUNTS, LATELY = "graph.counts", "graph.lately"
"""What clients contribute by item and not by pair: what they have, and what they had last, the
later the more. In the server's memory, float ``[items]``."""
CONTRIBUTED = frozenset({PAIRS, NEXT, STEP})
_LATELY_DECAY = 0.8


class GraphSpec(Spec):
    """Hyper-parameters; the ``[algorithm.graph]`` table."""

    renamed: ClassVar[dict[str, str]] = {"near": "gap_decay"}
    counted: ClassVar[dict[str, str]] = dict.fromkeys(("rank", "neighbors", "local_links"), "items")

    rounds: int = Field(8, ge=1)
    """Rounds over which the contributions are spread."""
    user_power: float = Field(0.5, ge=0)
    """How much less a pair of items counts in a long history. Of n items there are n^2 pairs, so
    that with 0 those who have much decide what goes together."""
    ridge: float = Field(300.0, gt=0)
    """Regulariser of the ridge operator."""
    local_ridge: float = Field(100.0, gt=0)
    """The same of a large catalogue without order, where an item is regressed on its nearest."""
    local_links: int = Field(100, ge=1)
    """How many are an item's nearest then."""
    reach: int = Field(20, ge=1)
    """The farthest distance at which one item of a history follows another."""
    gap_decay: float = Field(0.9, gt=0, le=1)
    """How much a succession counts relative to one that is one position shorter."""
    rank: int = Field(64, ge=1)
    """Smoothest directions that the low-pass operator keeps."""
    power: float = Field(0.2, ge=0, le=0.5)
    """How far they discount popular items."""
    dense_items: int = Field(5_000, ge=1, le=30_000)
    """Larger catalogues keep each item's strongest links: five arrays of items x items numbers and
    their inverse take 1 GB at this size."""
    most_pairs: int = Field(2**27, ge=1)
    """Of a large catalogue the server keeps so many pairs of each of its three sums until it has
    all, eight bytes each; of more, those that are large for what their items have."""
    neighbors: int = Field(200, ge=1)
    """Links of an item that a large catalogue keeps in each operator."""

    def pair_weights(self, lengths: Tensor) -> Tensor:
        """What a client with so many items adds for each pair, whole numbers from 1 to `LEVELS`."""
        less = (lengths.clamp(min=SHORT) / SHORT) ** -self.user_power
        return (LEVELS * less).round().clamp(min=1)

    def is_dense(self, items: int) -> bool:
        """Whether sums and operators of a catalogue are matrices of items x items."""
        return items <= self.dense_items

    @property
    def lately(self) -> Tensor:
        """What a client adds for its last item, the one before, ..., whole, ``[last items]``."""
        weights = (LEVELS * _LATELY_DECAY ** torch.arange(LEVELS**2)).round()
        return weights[weights > 0]

    @property
    def weights(self) -> Tensor:
        """What a client adds for two items 1, 2, ... positions apart, whole, ``[reach]``."""
        return (LEVELS * self.gap_decay ** torch.arange(self.reach)).round()


def narrow(counts: Tensor, bound: int) -> Tensor:
    """The same whole numbers, at most ``bound``, in the fewest bytes."""
    kinds = (torch.uint8, torch.int16, torch.int32, torch.int64)
    return counts.to(next(kind for kind in kinds if bound <= torch.iinfo(kind).max))
