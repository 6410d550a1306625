"""What a centralised baseline must offer."""

from abc import ABC, abstractmethod

from torch import Tensor

from ufgraphfr.core.spec import Spec
from ufgraphfr.data.client_batches import ClientBatch


class Baseline(Spec, ABC):
    """A recommender trained on all training rows at once, as a point of comparison."""

    @abstractmethod
    def fit(self, training: ClientBatch) -> dict[str, Tensor]:
        """Statistics of everybody's training rows (never of validation or test rows)."""

    @abstractmethod
    def score(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """Scores of every item for some users, float ``[clients, items]``.

        Args:
            fitted: what `fit` returned.
            inputs: the users with their input at test time (for the test: training items and
                then the validation item), oldest first.
        """
