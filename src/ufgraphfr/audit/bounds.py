"""What attacks prove about a guarantee, and what a guarantee allows attacks to reach.

One run: Steinke, Nasr, Jagielski, "Privacy auditing with one (1) training run", NeurIPS 2023.
Gaussian estimate: Andrew et al., "One-shot empirical privacy estimation for federated learning",
ICLR 2024. Gaussian curve: Balle and Wang, ICML 2018; Dong, Roth, Su, "Gaussian differential
privacy", 2019.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

SIGNIFICANCE = 0.05
"""Chance with which the one-run bound may be too high, at most."""
FALSE_ALARM = 0.001
"""The same for bounds that come near the truth: a mechanism that spends exactly what it may would
otherwise fail one audit in twenty."""
ONE_SIDED = NormalDist().inv_cdf(1 - FALSE_ALARM)
LARGEST_EPSILON = 60.0
LARGEST_MU = 70.0
"""Of an estimate: nobody can hide, and more is not worth a number."""
_PHI = NormalDist().cdf


@dataclass(frozen=True)
class BoundedEstimate:
    """An estimate with its one-sided 99.9 % lower bound."""

    value: float
    low: float


def auc(scores: Tensor, truth: Tensor) -> float:
    """Chance that a positive scores above a negative, ties counting half; NaN without both.

    Args:
        scores: float ``[n]``.
        truth: bool ``[n]``.
    """
    scores, truth = scores.double(), truth.bool()
    positives, total = int(truth.sum()), len(truth)
    if positives in (0, total):
        return math.nan
    _, inverse, counts = scores.unique(return_inverse=True, return_counts=True)
    # the mean rank of equal scores
    rank = (counts.cumsum(0) - (counts - 1) / 2)[inverse]
    above = float(rank[truth].sum()) - positives * (positives + 1) / 2
    return above / (positives * (total - positives))


def measured_auc(scores: Tensor, truth: Tensor) -> BoundedEstimate:
    """An AUC with its lower bound (Hanley and McNeil, Radiology 1982).

    Args:
        scores: float ``[n]``.
        truth: bool ``[n]``, with at least one of each.
    """
    value = auc(scores, truth)
    positives = int(truth.bool().sum())
    negatives = len(truth) - positives
    two_positives, two_negatives = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value)
    variance += (positives - 1) * (two_positives - value**2)
    variance += (negatives - 1) * (two_negatives - value**2)
    error = math.sqrt(max(0.0, variance) / (positives * negatives))
    return BoundedEstimate(value, value - ONE_SIDED * error)


def gaussian_delta(epsilon: float, mu: float) -> float:
    """Delta of a Gaussian mechanism whose outputs lie mu standard deviations apart."""
    if mu == 0:
        return 0.0
    near, far = _PHI(mu / 2 - epsilon / mu), _PHI(-mu / 2 - epsilon / mu)
    # exp(epsilon) overflows where its factor has long underflowed
    return near - (math.exp(epsilon + math.log(far)) if far > 0 else 0.0)


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The epsilon of mu-Gaussian differential privacy at a delta; 0 for mu <= 0."""
    if mu <= 0 or gaussian_delta(0.0, mu) <= delta:
        return 0.0
    return _bisect(lambda epsilon: gaussian_delta(epsilon, mu) > delta, LARGEST_EPSILON * 50)


def gaussian_mu(epsilon: float, delta: float) -> float:
    """The mu of the Gaussian mechanism that is just (epsilon, delta)-private."""
    return _bisect(lambda mu: gaussian_delta(epsilon, mu) < delta, 100.0)


def gaussian_ceiling(mu: float) -> float:
    """The largest AUC of any membership attack on a mu-Gaussian mechanism: Phi(mu / sqrt 2)."""
    return _PHI(mu / math.sqrt(2))


def best_guess(mu: float) -> float:
    """How often the best guess at even odds is right on a mu-Gaussian mechanism: Phi(mu / 2)."""
    return _PHI(mu / 2)


def pure_guess(epsilon: float, delta: float) -> float:
    """The same under (epsilon, delta), whatever the mechanism: (e^eps + delta) / (1 + e^eps)."""
    ratio = math.exp(-epsilon)
    return (1 + delta * ratio) / (1 + ratio)


def pure_ceiling(epsilon: float, delta: float) -> float:
    """The largest AUC that (epsilon, delta) alone allows, whatever the mechanism.

    The area over the trade-off curve max(0, 1 - delta - e^eps a, e^-eps (1 - delta - a)).
    """
    ratio = math.exp(epsilon)
    # both lines meet at a = (1 - delta) / (1 + e^eps)
    corner = (1 - delta) / (1 + ratio)
    steep = (1 - delta) * corner - ratio * corner**2 / 2
    flat = (1 - delta - corner) ** 2 / (2 * ratio)
    return 1 - (steep + flat)


def gaussian_estimate(
    scores: Tensor, inside: Tensor, delta: float, tries: int = 1
) -> tuple[BoundedEstimate, BoundedEstimate]:
    """How far apart canaries that took part lie from those that did not.

    Args:
        scores: float ``[canaries]``.
        inside: bool ``[canaries]``, who took part.
        delta: of the guarantee.
        tries: how many estimates the worst is chosen from; they share the chance of a false alarm.

    Returns:
        mu in pooled standard deviations, and the epsilon it means; each with its lower bound.
    """
    scores = scores.double()
    ins, outs = scores[inside], scores[~inside]
    degrees = len(scores) - 2
    pooled = (ins.var() * (len(ins) - 1) + outs.var() * (len(outs) - 1)) / degrees
    apart = float(ins.mean() - outs.mean())
    # equal scores differ in their last digit
    if abs(apart) < 1e-9 * float(scores.abs().max()):
        apart = 0.0
    mu = min(LARGEST_MU, apart / max(math.sqrt(float(pooled)), 1e-300))
    sure = NormalDist().inv_cdf(1 - FALSE_ALARM / tries)
    low = mu - sure * _error(mu, len(ins), len(outs))
    epsilon = BoundedEstimate(gaussian_epsilon(mu, delta), gaussian_epsilon(low, delta))
    return BoundedEstimate(mu, low), epsilon


def caught_from(epsilon: float, delta: float, canaries: int) -> float:
    """What a Gaussian mechanism must spend at least to be caught nine times in ten.

    Args:
        epsilon: what it claims.
        delta: likewise.
        canaries: of whom about half take part.
    """
    half = canaries / 2
    nine_in_ten = ONE_SIDED + NormalDist().inv_cdf(0.9)

    def missed(more: float) -> bool:
        mu = claimed + more
        return mu - nine_in_ten * _error(mu, half, half) < claimed

    claimed = gaussian_mu(epsilon, delta)
    return gaussian_epsilon(claimed + _bisect(missed, LARGEST_MU), delta)


def chi_square_quantile(chance: float, degrees: int) -> float:
    """What a sum of so many squares of standard normal numbers is below with a chance."""
    half = torch.tensor(degrees / 2, dtype=torch.float64)

    def below(value: float) -> bool:
        middle = torch.tensor(value / 2, dtype=torch.float64)
        return float(torch.special.gammainc(half, middle)) < chance

    return _bisect(below, degrees + 20 * math.sqrt(degrees) + 100)


def _error(mu: float, inside: float, outside: float) -> float:
    """Standard error of an estimate of mu."""
    return math.sqrt(1 / inside + 1 / outside + mu**2 / (2 * (inside + outside - 2)))


def one_run_p_value(
    correct: int, guesses: int, canaries: int, epsilon: float, delta: float
) -> float:
    """The chance of so many correct guesses under (epsilon, delta), at most.

    P[Bin >= v] + 2 m delta max_i P[v > Bin >= v - i] / i, Bin of r tries at e^eps / (1 + e^eps).
    """
    tail = _upper_tails(guesses, 1 / (1 + math.exp(-epsilon)))
    steps = torch.arange(1, correct + 1)
    below = (tail[:correct].flip(0) - tail[correct]) / steps
    worst = float(below.max()) if correct else 0.0
    return min(1.0, float(tail[correct]) + 2 * canaries * delta * worst)


def one_run_epsilon(
    scores: Tensor, inside: Tensor, delta: float, shares: tuple[float, ...] = (0.1, 0.3, 1.0)
) -> float:
    """The largest epsilon that one run refutes at 95 %, over some numbers of guesses.

    The highest scores are guessed to have taken part, as many of the lowest not to have.

    Args:
        scores: float ``[canaries]``.
        inside: bool ``[canaries]``, the fair coins.
        delta: of the guarantee.
        shares: of the canaries to guess about; each is one try, and 5 % is shared among them.
    """
    order = scores.argsort(descending=True)
    level, best = SIGNIFICANCE / len(shares), 0.0
    for share in shares:
        half = max(1, int(share * len(scores) / 2))
        correct = int(inside[order[:half]].sum()) + int((~inside[order[-half:]]).sum())

        def refuted(epsilon: float, half: int = half, correct: int = correct) -> bool:
            return one_run_p_value(correct, 2 * half, len(scores), epsilon, delta) < level

        if refuted(0.0):
            best = max(best, _bisect(refuted, LARGEST_EPSILON))
    return best


def _upper_tails(tries: int, chance: float) -> Tensor:
    """P[Bin(tries, chance) >= k] for k = 0 to tries + 1, float64 ``[tries + 2]``."""
    if chance >= 1:
        return torch.tensor([1.0] * (tries + 1) + [0.0], dtype=torch.float64)
    hits = torch.arange(tries + 1, dtype=torch.float64)
    logs = math.lgamma(tries + 1) - (hits + 1).lgamma() - (tries - hits + 1).lgamma()
    logs += hits * math.log(chance) + (tries - hits) * math.log1p(-chance)
    # from the smallest tail on
    tails = logs.exp().flip(0).cumsum(0).flip(0).clamp(max=1.0)
    return torch.cat((tails, tails.new_zeros(1)))


def _bisect(holds: Callable[[float], bool], high: float) -> float:
    """The largest value up to ``high`` at which a condition that holds at 0 still holds."""
    low = 0.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
