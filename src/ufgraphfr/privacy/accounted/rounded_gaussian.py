"""The rounded Gaussian ``round(sigma N(0, 1))``, drawn exactly.

A sum of whole numbers plus this noise is an ideal Gaussian's noised sum, rounded: what is claimed
for the ideal Gaussian holds for it unchanged, in any number of dimensions and under any accountant,
and nothing is added to delta. Every integer can be drawn, as often as it should be.

With ``t`` a power of two, at least sigma, ``x = t (v + r)`` is proposed with ``v`` from
``exp(-v^2 / 2)`` on 0, 1, 2 ... and ``r`` uniform in [0, 1), and taken with the probability
``exp(-(x^2 / sigma^2 - v^2) / 2)`` (Karney, "Sampling exactly from the normal distribution", ACM
TOMS 2016). As in the samplers of Canonne, Kamath and Steinke ("The discrete Gaussian for
differential privacy", NeurIPS 2020) no probability is ever rounded: uniform numbers are as long as
a comparison needs. Float64 decides those in which it cannot err, decimal arithmetic the rest.
"""

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Words = Callable[[int], NDArray[np.uint64]]
"""Uniform 64-bit words: the next so many of a stream."""

MOST: Final = 2.0**50
"""Sigma is below it, so that no integer overflows."""
DOUBT: Final = 2.0**-40
"""Probabilities in float64 are off by less, by far: by less than 2**-44 wherever x can be."""
AT_ONCE: Final = 2**16
"""Proposals at a time: what fits the processor's cache."""


def draw(count: int, sigma: float, words: Words) -> NDArray[np.int64]:
    """Independent numbers, int64 ``[count]``.

    Args:
        count: how many.
        sigma: standard deviation before rounding: exactly the number that the float stands for.
            Below 1 the time grows as its inverse.
        words: where all randomness comes from.

    Raises:
        ValueError: sigma is not above 0 and below `MOST`.
    """
    if not 0 < sigma < MOST:
        raise ValueError(f"sigma = {sigma:g} must be above 0 and below {MOST:g}")
    drawn, done = np.empty(count, np.int64), 0
    while done < count:
        # about half of the proposals are taken; those beyond the count are thrown away unseen
        new = _taken(min(AT_ONCE, 2 * (count - done) + 64), sigma, words)[: count - done]
        drawn[done : done + len(new)] = new
        done += len(new)
    return drawn


def _taken(proposals: int, sigma: float, words: Words) -> NDArray[np.int64]:
    """Those of some proposals that are taken."""
    power = _power(sigma)
    start, remainder, coin = words(3 * proposals).reshape(3, -1)
    limits = np.array(_limits(64), np.uint64)[:, None]
    v = (start < limits).sum(0)
    r, stretch = remainder / 2.0**64, 2.0 ** (2 * power) / sigma**2
    # neither term is ever negative: nothing cancels
    loss = ((stretch - 1) * (v * v) + stretch * r * (2 * v + r)) / 2
    ahead = np.exp(-loss) - (coin >> np.uint64(11)) / 2.0**53
    taken = ahead > 0
    unsure = (np.abs(ahead) < DOUBT) | (start == limits).any(0)
    for place in unsure.nonzero()[0]:
        bits = int(start[place]), int(remainder[place]), int(coin[place]) >> 11
        v[place], taken[place] = _exactly(*bits, sigma, words)
    # v and r in fixed point, rounded: the first bit behind the point decides
    whole = ((remainder >> np.uint64(63 - power)) + np.uint64(1)) >> np.uint64(1)
    size = (v << power) + whole.astype(np.int64)
    signed: NDArray[np.int64] = np.where(coin & np.uint64(1), -size, size)
    return np.compress(taken, signed)


def _exactly(start: int, remainder: int, coin: int, sigma: float, words: Words) -> tuple[int, bool]:
    """``v`` and whether it is taken, with as many more bits of the uniform numbers as it needs.

    Args:
        start: the first 64 bits of what ``v`` is made of.
        remainder: the first 64 bits of ``r``.
        coin: the first 53 bits of what is compared with the probability.
        sigma: see `draw`.
        words: see `draw`.
    """
    more = 0
    while True:
        limits = _limits(64 + more)
        v = sum(start < limit for limit in limits)
        low, high = (
            _probability(v, Fraction(remainder + end, 2 ** (64 + more)), sigma, 53 + more)
            for end in (1, 0)
        )
        # a unit to spare: the decimals are rounded too, though only far behind the last bit
        if start not in limits and (coin + 2 < low or coin > high + 1):
            return v, coin < low
        start, remainder, coin = (
            (bits << 64) + int(word)
            for bits, word in zip((start, remainder, coin), words(3), strict=True)
        )
        more += 64


def _power(sigma: float) -> int:
    """The power of two of the smallest ``t``."""
    mantissa, power = math.frexp(sigma)
    return max(0, power - (mantissa == 0.5))


def _probability(v: int, r: Fraction, sigma: float, bits: int) -> Decimal:
    """That ``v + r`` is taken, times ``2**bits``; off by far less than 1."""
    x = (v + r) * 2 ** _power(sigma)
    loss = (x * x / Fraction(sigma) ** 2 - v * v) / 2
    with localcontext(prec=bits // 3 + 30):
        chance: Decimal = (-Decimal(loss.numerator) / loss.denominator).exp() * 2**bits
        return chance


@cache
def _limits(bits: int) -> tuple[int, ...]:
    """``P(v >= 1), P(v >= 2) ...`` times ``2**bits``, rounded down, to the first that is 0."""
    with localcontext(prec=bits // 3 + 30):
        # exp(-k^2 / 2) is below a hundredth of the last bit at the last k
        weights = [(Decimal(-k * k) / 2).exp() for k in range(math.isqrt(2 * bits) + 5)]
        scale = 2**bits / sum(weights)
        limits = [int(sum(weights[v:]) * scale) for v in range(1, len(weights))]
    return tuple(limits[: limits.index(0) + 1])
