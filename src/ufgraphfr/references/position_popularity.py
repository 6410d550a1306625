"""Position popularity: what people have at this point of their history, for new users.

score_u[i] = number of clients with item i at training positions l .. l + ``window`` - 1, where l is
the length of u's history (at most ``latest``). Without any history these are the items popular
among first positions: the yardstick of every cold-start claim.
"""

from typing import final

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.data.shards import Shard
from ufgraphfr.references.base import Reference


@final
class PositionPopularity(Reference):
    """Ranks items by how often clients have them around the next position."""

    window: int = Field(10, ge=1)
    """How many positions count, from the next one on."""
    latest: int = Field(10, ge=0)
    """Longer histories are treated as this long; later positions are thin."""

    def fit(self, training: Shard) -> dict[str, Tensor]:
        """``before``: float ``[positions + 1, items]``, counts at all positions before a row's."""
        rows = len(training.items)
        start = torch.repeat_interleave(training.ptr[:-1], training.counts, output_size=rows)
        position = torch.arange(rows, device=start.device) - start
        positions = self.latest + self.window
        early = position < positions
        cell = position[early] * training.catalogue + training.items[early]
        counts = torch.bincount(cell, minlength=positions * training.catalogue).float()
        before = counts.new_zeros(positions + 1, training.catalogue)
        torch.cumsum(counts.view(positions, -1), 0, out=before[1:])
        return {"before": before}

    def score(self, fitted: dict[str, Tensor], inputs: Shard) -> Tensor:
        """The counts of each client's window."""
        length = inputs.counts.clamp(max=self.latest)
        before = fitted["before"]
        return before[length + self.window] - before[length]
