"""From a budget to noise and back, by dp-accounting alone.

A Gaussian release of noise multiplier z with c participations has mu^2 = c / z^2 (Dong, Roth, Su,
"Gaussian differential privacy", 2022); parts of a model share mu^2, and (epsilon, delta) follows
from the whole exactly. Poisson cohorts are accounted for by privacy loss distributions.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from ufgraphfr.core.errors import InputError

LEAST_NOISE, MOST_NOISE = 1e-2, 1e4
"""Noise multipliers that are offered; a budget that needs others is refused."""
EMPTY = 1e-3
"""Of delta, what each part with secret cohorts pays: empty rounds show themselves."""
LEAST_EPSILON, MOST_EPSILON = 1e-3, 100.0
"""That are named as feasible: outside of them a promise is void or a burden."""


@dataclass(frozen=True)
class Gaussian:
    """One kind of release: Gaussian noise of standard deviation z times the clip on a sum.

    Attributes:
        participations: rounds of it that one client takes part in, at most.
        rate: of each client's own coin, or None without amplification.
        share: of the budget, relative to the others.
    """

    participations: int
    rate: float | None = None
    share: float = 1.0

    @property
    def secret(self) -> bool:
        """Whether coins decide who takes part."""
        return self.rate is not None and self.rate < 1


def accountant_name() -> str:
    """The accountant and its version."""
    return f"dp-accounting {version('dp-accounting')}"


def noise_of(epsilon: float, delta: float) -> float:
    """Standard deviation of one release of sensitivity 1, exact (Balle and Wang, ICML 2018)."""
    return float(_library().get_sigma_gaussian(epsilon, delta))


def epsilon_of(noise: float, delta: float) -> float:
    """The epsilon of one release of sensitivity 1 with this noise, the inverse of `noise_of`."""
    return float(_library().get_epsilon_gaussian(noise, delta))


def multipliers(parts: Sequence[Gaussian], epsilon: float, delta: float) -> tuple[float, ...]:
    """The noise multiplier of each part, so that all releases together cost what is given.

    Args:
        parts: in any order; at most one may have secret cohorts.
        epsilon: the whole budget, with
        delta: the probability of worse.

    Raises:
        InputError: no noise multiplier keeps to it; the feasible range is named.
    """
    shares = sum(part.share for part in parts)
    noise = noise_of(epsilon, delta)
    found = [noise * math.sqrt(part.participations * shares / part.share) for part in parts]
    secret = [place for place, part in enumerate(parts) if part.secret]
    if len(secret) > 1:
        raise InputError("Poisson cohorts in more than one part of a model: use sampling = 'fixed'")
    for place in secret:
        found[place] = _amplified(parts, found, place, epsilon, delta * (1 - EMPTY))
    if not all(LEAST_NOISE <= z <= MOST_NOISE for z in found):
        low, high = feasible(parts, delta)
        raise InputError(
            f"[privacy] epsilon = {epsilon:g} cannot be kept by {len(parts)} part(s) with "
            f"{max(part.participations for part in parts)} rounds a client: choose it between "
            f"{low:.2g} and {high:.2g}, or fewer rounds"
        )
    return tuple(found)


def feasible(parts: Sequence[Gaussian], delta: float) -> tuple[float, float]:
    """The epsilons that the noise multipliers on offer reach, without amplification."""
    shares = sum(part.share for part in parts)
    scale = [math.sqrt(part.participations * shares / part.share) for part in parts]
    least = epsilon_of(MOST_NOISE / max(scale), delta)
    most = epsilon_of(LEAST_NOISE / min(scale), delta)
    return max(LEAST_EPSILON, least), max(least, min(MOST_EPSILON, most))


def spent(parts: Sequence[Gaussian], noise: Sequence[float], delta: float) -> float:
    """The epsilon of all releases together."""
    each = list(zip(parts, noise, strict=True))
    mu_squared = sum(part.participations / z**2 for part, z in each if not part.secret)
    secret = [(part, z) for part, z in each if part.secret]
    if secret:
        delta *= 1 - EMPTY * len(secret)
        if delta <= 0:
            return math.inf
        # releases without secret cohorts are as one, and many runs' would take long one by one
        known = [(Gaussian(1), 1 / math.sqrt(mu_squared))] if mu_squared else []
        account = _library().pld.PLDAccountant()
        account.compose(_event(*zip(*secret, *known, strict=True)))
        return float(account.get_epsilon(delta))
    return epsilon_of(1 / math.sqrt(mu_squared), delta) if mu_squared else 0.0


def _amplified(
    parts: Sequence[Gaussian], noise: list[float], place: int, epsilon: float, delta: float
) -> float:
    """The multiplier of a part with secret cohorts, by PLD, bracketed by the faster RDP."""

    def event(z: float) -> Any:
        return _event(parts, [*noise[:place], z, *noise[place + 1 :]])

    library = _library()
    calibrate = functools.partial(
        library.calibrate_dp_mechanism,
        make_event_from_param=event,
        target_epsilon=epsilon,
        target_delta=delta,
    )
    wide = library.ExplicitBracketInterval(LEAST_NOISE * 10, max(noise[place], 1.0) * 4)
    # RDP is an upper bound of the cost, so its answer is noise enough, and PLD's lies below it
    enough = calibrate(library.rdp.RdpAccountant, bracket_interval=wide, tol=1e-3)
    near = library.ExplicitBracketInterval(enough / 2, enough * 1.01)
    return float(calibrate(library.pld.PLDAccountant, bracket_interval=near, tol=1e-4))


def _event(parts: Sequence[Gaussian], noise: Sequence[float]) -> Any:
    library, events = _library(), []
    for part, z in zip(parts, noise, strict=True):
        one = library.GaussianDpEvent(z)
        if part.secret:
            one = library.PoissonSampledDpEvent(part.rate, one)
        events.append(library.SelfComposedDpEvent(one, part.participations))
    return library.ComposedDpEvent(events)


def _library() -> Any:
    """dp-accounting, imported when a budget first asks: with it comes scipy, 70 MB and a second."""
    import dp_accounting

    return dp_accounting
