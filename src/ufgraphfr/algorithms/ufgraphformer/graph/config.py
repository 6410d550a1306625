"""Hyper-parameters of the item graph, dense or sparse, and what both forms have in common."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.core.messages import State
from ufgraphfr.core.spec import Spec

OPERATORS = ("ridge", "cooccurrence", "low-pass")
"""In the order of their scores."""
LEVELS = 7
"""Co-occurrence is rounded to whole numbers up to this: three bits; two or four change nothing."""
SHRINK = 5.0
"""Pulls the links of rare items to zero; from the search that the operators were screened in."""
COUNTS = "graph.counts"
"""In the server's memory: how many clients have each item, float ``[items]``."""


class GraphSpec(Spec):
    """Hyper-parameters; the ``[algorithm.graph]`` table."""

    renamed: ClassVar[dict[str, str]] = {"near": "gap_decay"}
    counted: ClassVar[dict[str, str]] = {"rank": "items", "neighbors": "items", "buckets": "items"}

    rounds: int = Field(8, ge=1)
    """Rounds over which the contributions are spread."""
    ridge: float = Field(1000.0, gt=0)
    """Regulariser of the ridge operator."""
    reach: int = Field(20, ge=1)
    """The farthest distance at which two items of a history co-occur."""
    gap_decay: float = Field(0.9, gt=0, le=1)
    """Co-occurrence of two items relative to two that lie one position nearer."""
    decay: float = Field(0.8, gt=0, le=1)
    """Weight of a history item relative to the next one."""
    rank: int = Field(64, ge=1)
    """Smoothest directions that the low-pass operator keeps."""
    power: float = Field(0.2, ge=0, le=0.5)
    """How far they discount popular items."""

    dense_items: int = Field(20_000, ge=1, le=30_000)
    """Catalogues beyond this have a sparse graph, without the ridge operator."""
    neighbors: int = Field(200, ge=1)
    """Links of an item that a sparse graph keeps."""
    buckets: int = Field(1024, ge=2)
    """Columns that the items of a sparse graph are hashed into while it is collected."""

    @property
    def weights(self) -> Tensor:
        """What a client adds for two items 1, 2, ... positions apart, whole, ``[reach]``."""
        return (LEVELS * self.gap_decay ** torch.arange(self.reach)).round()


def low_pass_factors(shared: State, power: float) -> tuple[Tensor, Tensor]:
    """The low-pass operator as factors ``[items, rank]`` and ``[rank, items]``."""
    scale = shared[COUNTS].clamp(min=1)[:, None] ** power
    vectors = shared["graph.low_pass"]
    return vectors / scale, (vectors * scale).T


def narrow(counts: Tensor, bound: int) -> Tensor:
    """The same whole numbers, at most ``bound``, in the fewest bytes."""
    kinds = (torch.uint8, torch.int16, torch.int32, torch.int64)
    return counts.to(next(kind for kind in kinds if bound <= torch.iinfo(kind).max))
