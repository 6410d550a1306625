"""Popularity: the items most clients have.

score[i] = number of training rows of item i, the same for everybody.
"""

from typing import final

import torch
from torch import Tensor

from ufgraphfr.baselines.base import Baseline
from ufgraphfr.data.client_batches import ClientBatch


@final
class Popularity(Baseline):
    """Ranks items by how often they occur in training."""

    def fit(self, training: ClientBatch) -> dict[str, Tensor]:
        """``count``: float ``[items]``."""
        return {"count": torch.bincount(training.items, minlength=training.n_items).float()}

    def estimated_bytes(self, users: int, items: int, interactions: int) -> int:
        """See `Baseline.estimated_bytes`: interactions are counted, in whole numbers."""
        return 16 * (items + interactions)

    def score(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """The counts, for each client."""
        return fitted["count"].expand(len(inputs), -1)
