"""What an attack must offer: one question, answered by figures with what chance would give."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ufgraphfr.audit.bounds import ONE_SIDED, BoundedEstimate
from ufgraphfr.audit.recording import Recording
from ufgraphfr.core.spec import Spec

View = Literal["upload", "broadcast", "clients"]
"""Who attacks: a server that reads each client's uploads, anybody who reads the broadcast, or
malicious clients."""


@dataclass(frozen=True)
class Finding:
    """One figure of an attack.

    Attributes:
        view: what the attacker reads.
        measure: what was measured, in words.
        value: the figure; NaN if there was nothing to measure.
        low: its one-sided lower bound, or the value where none is known.
        chance: what guessing gives, or None.
        bounded: whether it is a membership AUC, which a guarantee bounds from above.
        note: what a reader should know.
        points: for a plot: true and false ones' scores, by name.
        power: what the attack could have found, or would have, in words.
        limit: what any guarantee allows, whatever its epsilon; or None.
    """

    view: View
    measure: str
    value: float
    low: float
    chance: float | None
    bounded: bool = False
    note: str = ""
    points: dict[str, tuple[float, ...]] | None = None
    power: str = ""
    limit: float | None = None


class Attack(Spec, ABC):
    """An attack; it reads a recording and never changes it."""

    question: ClassVar[str]
    """What it tries to find out."""
    otherwise: ClassVar[str] = "no item table was uploaded"
    """Why there may be nothing to attack."""
    needs_rows: ClassVar[bool] = True
    """Whether it needs users' rows: to train on, or to know what is true."""

    @abstractmethod
    def run(self, recording: Recording) -> list[Finding]:
        """Attack; an empty list if there is nothing to attack."""


def over_clients(values: list[float]) -> BoundedEstimate:
    """The mean over clients and its lower bound; NaN without clients."""
    known = torch.tensor([value for value in values if value == value], dtype=torch.float64)
    if len(known) == 0:
        return BoundedEstimate(float("nan"), float("nan"))
    mean = float(known.mean())
    error = float(known.std()) / len(known) ** 0.5 if len(known) > 1 else 0.0
    return BoundedEstimate(mean, mean - ONE_SIDED * error)


def precision_recall(guessed: Tensor, truth: Tensor) -> tuple[float, float]:
    """Of a set of guesses, bool ``[n]``; precision is NaN if nothing was guessed."""
    hits = float((guessed & truth).sum())
    guesses, positives = int(guessed.sum()), int(truth.sum())
    nan = float("nan")
    return hits / guesses if guesses else nan, hits / positives if positives else nan
