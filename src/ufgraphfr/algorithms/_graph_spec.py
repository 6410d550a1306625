"""Hyper-parameters of UFGraphFormer's item graph, dense or sparse."""

from typing import Literal, get_args

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.core.spec import Spec

Operator = Literal["ridge", "near", "smooth"]
OPERATORS: tuple[Operator, ...] = get_args(Operator)
"""In the order of their scores."""


class GraphSpec(Spec):
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

    dense_items: int = Field(20_000, ge=1, le=30_000)
    """Catalogues beyond this have a sparse graph, without the ridge operator."""
    neighbors: int = Field(200, ge=1)
    """Links of an item that a sparse graph keeps."""
    buckets: int = Field(1024, ge=2)
    """Columns that the items of a sparse graph are hashed into while it is collected."""

    @property
    def weights(self) -> Tensor:
        """What a client adds for two items 1, 2, ... places apart, whole, float ``[reach]``."""
        return (self.levels * self.near ** torch.arange(self.reach)).round()
