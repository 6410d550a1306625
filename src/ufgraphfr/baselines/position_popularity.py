"""Position popularity: what people have at this point of their history, for new users.

score_u[i] = number of clients with item i at training positions l .. l + ``window`` - 1, where l is
the length of u's history (at most ``latest``). Without any history these are the items popular
among first positions: the baseline of every cold-start claim.
"""

from typing import final

from pydantic import Field
from torch import Tensor

from ufgraphfr.baselines.base import Baseline
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.first_items import first_item_counts, window_sums


@final
class PositionPopularity(Baseline):
    """Ranks items by how often clients have them around the next position."""

    window: int = Field(10, ge=1)
    """How many positions count, from the next one on."""
    latest: int = Field(10, ge=0)
    """Longer histories are treated as this long; later positions are thin."""

    def fit(self, training: ClientBatch) -> dict[str, Tensor]:
        """``next``: float ``[latest + 1, items]``, counts in the window of each length."""
        own = training.ptr, training.items, training.n_items
        counts = first_item_counts(*own, self.latest + self.window)
        return {"next": window_sums(counts, self.window)}

    def score(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """The counts of each client's window."""
        return fitted["next"][inputs.counts.clamp(max=self.latest)]

    def estimated_bytes(self, users: int, items: int, interactions: int) -> int:
        """Counts of each position, and their window sums."""
        return 24 * items * (self.latest + self.window) + 64 * interactions
