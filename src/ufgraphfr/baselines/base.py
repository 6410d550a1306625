"""What a centralised baseline must offer."""

import os
from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.client_batches import ClientBatch

_MOST = 2 * 10**9
"""Bytes of arrays that no baseline exceeds, however large the machine."""


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

    def estimated_bytes(self, users: int, items: int, interactions: int) -> int:
        """About the most that `fit` holds at once, the data apart, to decide before it starts.

        What a subclass does not say is taken to be linear: some numbers for each of these.
        """
        return 64 * (users + items + interactions)

    def fits(self, users: int, items: int, interactions: int) -> bool:
        """Whether it may be fitted on this machine, see `memory_budget`."""
        return self.estimated_bytes(users, items, interactions) <= memory_budget()

    def check_memory(self, users: int, items: int, interactions: int) -> None:
        """Refuse before the cost what does not fit `memory_budget`.

        Raises:
            InputError: it does not fit.
        """
        if not self.fits(users, items, interactions):
            needed, budget = self.estimated_bytes(users, items, interactions), memory_budget()
            raise InputError(
                f"baseline '{self.kind}' needs about {needed:,} bytes for {users:,} users, "
                f"{items:,} items and {interactions:,} interactions, and {budget:,} are the most "
                f"that it may take (a quarter of the memory, at most {_MOST:,}): leave it out, or "
                f"name one whose memory is linear in the data (itemknn, markov, ials)"
            )


@runtime_checkable
class Fused(Protocol):
    """A baseline that scores by a weighted sum of parts: `fit` gives ``blend``, a number for each.

    Where a validation is at hand, they are fitted to it, see `evaluation.fusion`. One that has an
    attribute ``history_length``, and it is true, gets some for long histories as well, and with
    ``absence``, where times are dates, for users who were away: see `ops.bends.bent`.
    """

    def parts(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """Scores of each part, float ``[parts, clients, items]``."""

    def part_names(self, fitted: dict[str, Tensor]) -> tuple[str, ...]:
        """What each part is called."""


def memory_budget() -> int:
    """Bytes that a baseline may take: a quarter of this machine's memory, at most 2 GB."""
    return min(_MOST, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4)
