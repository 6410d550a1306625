"""The vocabulary of recommending: what is asked for, and what is answered, whoever asks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ufgraphfr.core.errors import InputError
from ufgraphfr.serve.why import in_words


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        user: the data set's id; None for anybody else.
        history: ids or titles of what anybody has, oldest first.
        profile: attributes of anybody, by name.
        n: how many items.
        exclude: ids or titles of items not to list.
        where: the values of features of which an item must have one, by feature.
        seen: whether what is in the history may be listed.
        why: whether reasons are given.
        at: when it is asked, in seconds since 1970, for models that ask how long a user was away;
            None is now. Anybody else is in a visit.
    """

    user: str | None = None
    history: Sequence[str] = ()
    profile: Mapping[str, str] = field(default_factory=dict)
    n: int = 10
    exclude: Sequence[str] = ()
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seen: bool = False
    why: bool = False
    at: float | None = None

    def __post_init__(self) -> None:
        """Checks what can be checked without a catalogue.

        Raises:
            InputError: no item is asked for, or both a user and somebody else.
        """
        if self.n < 1:
            raise InputError(f"n = {self.n}: ask for at least one item")
        if self.at is not None and not math.isfinite(self.at):
            raise InputError(f"at = {self.at}: give a time, in seconds since 1970")
        if self.at is not None and (self.user is None and (self.history or self.profile)):
            raise InputError(
                "at: a history that is handed in has no times; give a user, or no time"
            )
        if self.user is not None and (self.history or self.profile):
            raise InputError(
                f"user '{self.user}' has a history and a profile in the data: give a user alone, "
                f"or history and profile"
            )


@dataclass(frozen=True)
class Because:
    """An item of the history that speaks for a recommendation.

    Attributes:
        item: the data set's id.
        title: for people.
        effect: how much lower the score would be without it.
    """

    item: str
    title: str
    effect: float


@dataclass(frozen=True)
class Recommendation:
    """One item of a list.

    Attributes:
        item: the data set's id.
        title: for people.
        score: the model's; only its order means something.
        rank: 1 for the best.
        because: items of the history that speak for it, the strongest first; None if not asked for.
        shares: what each part of the model adds to the score; None if not asked for.
    """

    item: str
    title: str
    score: float
    rank: int
    because: tuple[Because, ...] | None = None
    shares: dict[str, float] | None = None

    @property
    def reason(self) -> str:
        """Both in words; empty if they were not asked for."""
        behind = [each.title for each in self.because or ()]
        return "" if self.shares is None else in_words(behind, self.shares)

    @property
    def facts(self) -> dict[str, Any]:
        """For JSON."""
        if self.shares is None:
            kept = ("rank", "item", "title", "score")
            return {name: getattr(self, name) for name in kept}
        return {**asdict(self), "reason": self.reason}


@dataclass(frozen=True)
class Answer:
    """What is answered to a request.

    Attributes:
        history: places of the items it is based on, oldest first.
        recommended: the best items, the best first.
        notes: what else to know, a sentence each.
    """

    history: list[int]
    recommended: list[Recommendation]
    notes: list[str]
