"""What a model lets out of its clients, in the words that a privacy budget is spent in."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Release:
    """Rounds in which clients upload one kind of update.

    Attributes:
        part: its name, e.g. ``popularity``.
        first, last: the rounds, both included.
        norm: L2 length that no client's upload exceeds by construction; None if only a clip can
            bound it.
        share: of the budget, relative to the model's other releases.
    """

    part: str
    first: int
    last: int
    norm: float | None = None
    share: float = 1.0

    @property
    def rounds(self) -> int:
        """How many rounds there are."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Budget:
    """What a guarantee affords, for a model that adapts to it.

    Attributes:
        clients: whose data are protected.
        noise: standard deviation that one sum over clients gets, each of length at most 1, if
            nothing else is ever released.
        most: numbers that one client may upload, or None for any.
        shares: of the budget by part, where they are not the model's choice.
    """

    clients: int
    noise: float
    most: int | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
