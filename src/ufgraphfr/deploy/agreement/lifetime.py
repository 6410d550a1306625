"""The budget of a person for life: what all runs of an agreement may spend on one person's data.

Every release is Gaussian, of noise z times the clip, so that what a person's releases come to is
mu^2 = sum(1 / z^2), and (epsilon, delta) follows from it exactly (Dong, Roth, Su, "Gaussian
differential privacy", 2022). Runs are added up as parts are. Who would go beyond the total is left
out; that this may depend on what was released before is covered by composition with a filter (Smith
and Thakurta, "Fully adaptive composition for Gaussian differential privacy", 2022).
"""

import math
from dataclasses import dataclass

from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.privacy.accounted.accounting import noise_of
from ufgraphfr.privacy.central_jdp import CentralJDP

SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Lifetime:
    """A person's total.

    Attributes:
        epsilon: of everything that a person's data go into, with
        delta: the probability of worse.
        days: in any so many days; 0 is for ever.
    """

    epsilon: float
    delta: float
    days: int = 0

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            InputError: they promise nothing.
        """
        if not (0 < self.epsilon <= 1000 and 0 < self.delta < 1 and self.days >= 0):
            raise InputError(
                f"[lifetime] epsilon = {self.epsilon:g}, delta = {self.delta:g}, days = "
                f"{self.days}: epsilon is above 0 and at most 1000, delta between 0 and 1"
            )

    @property
    def mu_squared(self) -> float:
        """What the releases of one person may come to, see the head of this file."""
        return 1 / noise_of(self.epsilon, self.delta) ** 2

    def since(self, now: float) -> float:
        """Releases before this second of the epoch count no longer."""
        return now - self.days * SECONDS_A_DAY if self.days else -math.inf

    def covers(self, mu_squared: float) -> bool:
        """Whether releases of so much are within the total."""
        # a total of exactly so many runs is not to fail by a rounding
        return mu_squared <= self.mu_squared * (1 + 1e-9)

    def runs(self, epsilon: float, delta: float) -> int:
        """How many runs of such a budget one person can be in."""
        return int(self.mu_squared * noise_of(epsilon, delta) ** 2 * (1 + 1e-9))

    def __str__(self) -> str:
        """One line."""
        window = f"in any {self.days:,} days" if self.days else "for ever"
        return f"epsilon = {self.epsilon:g}, delta = {self.delta:.0e} a person {window}"


def of_document(values: dict[str, float] | None) -> Lifetime | None:
    """From the table of an agreement.

    Raises:
        KeyError, ValueError: it holds something else.
    """
    if values is None:
        return None
    if values.keys() != {"epsilon", "delta", "days"}:
        raise ValueError(f"[lifetime] holds {sorted(values)}")
    return Lifetime(float(values["epsilon"]), float(values["delta"]), int(values["days"]))


def check_lifetime(experiment: Experiment, lifetime: Lifetime, clients: int) -> None:
    """Check that a person's total is of something, and affords a run.

    Raises:
        InputError: it is not, or does not.
    """
    spec = experiment.mechanism
    if not isinstance(spec, CentralJDP) or spec.budget(clients) is None:
        raise InputError("a total for life is of a budget: [privacy] names none")
    if lifetime.runs(spec.epsilon, spec.delta) < 1:
        raise InputError(
            f"[lifetime] {lifetime} does not afford one run, which spends epsilon = "
            f"{spec.epsilon:g}, delta = {spec.delta:.0e}: raise it, or lower [privacy] epsilon"
        )


def in_runs(experiment: Experiment, lifetime: Lifetime) -> str:
    """The total, and how many runs of an experiment it affords, in one line."""
    spec = experiment.mechanism
    assert isinstance(spec, CentralJDP)
    runs = lifetime.runs(spec.epsilon, spec.delta)
    return (
        f"all runs together: {lifetime}, enough for {runs:,} of epsilon = {spec.epsilon:g}; who "
        f"has spent it is left out of training and still served"
    )
