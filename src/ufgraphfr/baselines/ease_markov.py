"""EASE + Markov: what goes together plus what comes next, the strongest closed form here.

score_u = z(EASE_u) + weight * z(Markov_u), z(s) = (s - mean s) / std s over all items of user u.
"""

from typing import final

from pydantic import Field
from torch import Tensor

from ufgraphfr.baselines._links import linked_scores
from ufgraphfr.baselines.base import Baseline
from ufgraphfr.baselines.ease import Ease
from ufgraphfr.baselines.markov import Markov
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.blend import standardised


@final
class EaseMarkov(Baseline):
    """The sum of both, each standardised per user."""

    weight: float = Field(1.5, ge=0)
    """Share of Markov relative to EASE."""
    ease: Ease = Ease()
    """The item-to-item part."""
    markov: Markov = Markov()
    """The part of what follows the last item."""

    def fit(self, training: ClientBatch) -> dict[str, Tensor]:
        """``ease`` and ``markov``: float32 ``[items, items]``, or links; see `Links.arrays`."""
        ease, markov = self.ease.fit(training), self.markov.fit(training)
        return {
            "ease": ease["operator"],
            **{name.replace("operator", "markov"): value for name, value in markov.items()},
        }

    def score(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """The weighted sum of standardised scores."""
        ease = self.ease.score({"operator": fitted["ease"]}, inputs)
        markov = linked_scores(fitted, "markov", inputs, self.markov.decay)
        return standardised(ease) + self.weight * standardised(markov)

    def estimated_bytes(self, users: int, items: int, interactions: int) -> int:
        """One after the other, EASE's operator kept."""
        size = users, items, interactions
        markov = self.markov.estimated_bytes(*size) + 4 * items**2
        return max(self.ease.estimated_bytes(*size), markov)
