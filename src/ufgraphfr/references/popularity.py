"""Popularity: the items most clients have.

score[i] = number of training rows of item i, the same for everybody.
"""

from typing import final

import torch
from torch import Tensor

from ufgraphfr.data.shards import Shard
from ufgraphfr.references.base import Reference


@final
class Popularity(Reference):
    """Ranks items by how often they occur in training."""

    def fit(self, training: Shard) -> dict[str, Tensor]:
        """``count``: float ``[items]``."""
        return {"count": torch.bincount(training.items, minlength=training.catalogue).float()}

    def score(self, fitted: dict[str, Tensor], inputs: Shard) -> Tensor:
        """The counts, for each client."""
        return fitted["count"].expand(len(inputs), -1)
