"""Settings that follow from public facts of the data, each with the reason that a person reads."""

from dataclasses import dataclass
from typing import Any

AUTO = "auto"
"""What an experiment says of a key that is to be derived."""
COHORT, ROUNDS = "federation.cohort", "federation.rounds"
EVERY, ASKED = "evaluation.every", "evaluation.users"
DELTA = "privacy.delta"


@dataclass(frozen=True)
class DataFacts:
    """What a rule may look at: nothing of a single user.

    Attributes:
        users: who train.
        items: size of the catalogue.
        interactions: how many the users have together.
        assumed: whether interactions are a guess, because only their holders know them.
        dated: whether their times are dates that say what came first.
    """

    users: int
    items: int
    interactions: int
    assumed: bool = False
    dated: bool = False

    @property
    def per_user(self) -> float:
        """Interactions of a user, the mean."""
        return self.interactions / max(1, self.users)


@dataclass(frozen=True)
class Derived:
    """A setting that nobody has set.

    Attributes:
        key: ``table.key`` of the experiment.
        value: what it was derived to be; None for a key that is left out.
        why: from which facts, in half a sentence.
    """

    key: str
    value: Any
    why: str

    def __str__(self) -> str:
        """One line for the screen."""
        shown = "none" if self.value is None else self.value
        if isinstance(shown, bool):
            shown = str(shown).lower()
        number = f"{shown:,}" if isinstance(shown, int) else shown
        return f"{self.key} = {number}: {self.why}"
