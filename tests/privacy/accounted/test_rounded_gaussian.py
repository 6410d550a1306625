"""The rounded Gaussian: its frequencies, its tails, and what float64 cannot compare."""

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ufgraphfr.privacy.accounted import rounded_gaussian
from ufgraphfr.privacy.accounted.rounded_gaussian import MOST, Words, draw

SIGMAS = [0.05, 0.7, 1.0, 3.3, 10.0, 1e6, 1.7e7 * math.pi]


def pseudo(seed: int) -> Words:
    """Words that are the same each time."""
    generator = np.random.default_rng(seed)
    return lambda count: generator.integers(0, 2**64, count, np.uint64)


def given(*numbers: int) -> Words:
    """These words, then others; a batch of proposals takes all its first words first."""
    left, then = list(numbers), pseudo(9)

    def words(count: int) -> NDArray[np.uint64]:
        head = np.array(left[:count], np.uint64)
        del left[:count]
        return np.concatenate((head, then(count - len(head))))

    return words


def fit(drawn: NDArray[np.int64], sigma: float, cells: int = 200) -> float:
    """The p of a chi-square test over cells that are about equally likely."""
    quantiles = stats.norm.ppf(np.arange(1, cells) / cells) * sigma
    cuts = np.unique(np.floor(quantiles)) + 0.5
    chances = np.diff(stats.norm.cdf(cuts / sigma), prepend=0, append=1)
    counts = np.histogram(drawn, np.concatenate(([-np.inf], cuts, [np.inf])))[0]
    return float(stats.chisquare(counts, chances * len(drawn)).pvalue)


@pytest.mark.parametrize("sigma", SIGMAS[1:])
def test_each_cell_is_as_frequent_as_the_rounded_normal_says(sigma: float) -> None:
    drawn = draw(1_000_000, sigma, pseudo(1))
    assert fit(drawn, sigma) > 0.001
    assert fit(drawn, sigma * 1.01) < 1e-6
    assert fit(drawn, sigma, cells=2000) > 0.001


def test_a_small_sigma_is_mostly_zero() -> None:
    drawn = draw(100_000, 0.2, pseudo(2))
    chance = 2 * stats.norm.sf(2.5)
    assert float((drawn != 0).mean()) == pytest.approx(chance, abs=5 * math.sqrt(chance / 100_000))


@pytest.mark.parametrize("sigma", SIGMAS)
def test_what_float64_decides_is_what_exact_arithmetic_decides(sigma: float, monkeypatch) -> None:
    count = 2 if sigma < 0.1 else 60
    fast = draw(count, sigma, pseudo(3))
    asked = []
    exactly = rounded_gaussian._exactly

    def counted(*arguments) -> tuple[int, bool]:
        asked.append(arguments)
        return exactly(*arguments)

    monkeypatch.setattr(rounded_gaussian, "_exactly", counted)
    assert np.array_equal(draw(count, sigma, pseudo(3)), fast)
    assert not asked
    monkeypatch.setattr(rounded_gaussian, "DOUBT", 2.0)
    assert np.array_equal(draw(count, sigma, pseudo(3)), fast)
    assert asked


def test_a_comparison_that_is_too_close_takes_more_bits() -> None:
    # v = 0 and r = 1/2 at sigma = 1: exp(-1/8), whose next 64 bits after the first 53 decide
    exact = rounded_gaussian._probability(0, Fraction(1, 2), 1.0, 117)
    coin, rest = divmod(int(exact), 2**64)
    start = 2**63
    for behind, taken in ((rest // 2, True), (rest + (2**64 - rest) // 2, False)):
        words = given(0, 0, behind)
        assert rounded_gaussian._exactly(start, 2**63, coin, 1.0, words) == (0, taken)


def test_the_first_word_decides_v_also_where_64_bits_do_not() -> None:
    limits, longer = rounded_gaussian._limits(64), rounded_gaussian._limits(128)
    for place in (0, 1, 4):
        behind = longer[place] - (limits[place] << 64)
        for extra, v in ((behind - 1, place + 1), (behind + 1, place)):
            words = given(extra, 0, 0)
            assert rounded_gaussian._exactly(limits[place], 1, 0, 1.0, words) == (v, True)


def test_v_has_no_largest_value() -> None:
    # 64 bits of zero: at least 10, and the next bits say how much more
    deep = rounded_gaussian._limits(128)
    assert deep[10] > 1
    words = given(deep[10] - 1, 0, 0)
    assert rounded_gaussian._exactly(0, 1, 0, 1.0, words) == (11, True)


@pytest.mark.parametrize("place", [0, 3, 7])
def test_every_integer_is_drawn_and_in_the_tails_too(place: int) -> None:
    power, sigma = 20, float(2**20)
    start = rounded_gaussian._limits(64)[place] // 2 if place < 7 else 1
    v = sum(start < limit for limit in rounded_gaussian._limits(64))
    targets = np.arange(v << power, (v << power) + 500) + 12_345
    remainders = (targets - (v << power)).astype(np.uint64) << np.uint64(64 - power)
    for coin, sign in ((0, 1), (1, -1)):
        proposals = 2 * len(targets) + 64
        padding = [2**64 - 1] * (proposals - len(targets))
        starts = [start] * len(targets) + padding
        words = given(*starts, *remainders.tolist(), *padding, *[coin] * len(targets), *padding)
        assert np.array_equal(draw(len(targets), sigma, words), sign * targets)


def test_the_tail_beyond_six_sigma_is_as_dense_as_the_rest() -> None:
    # all proposals with v = 6: what is drawn must follow the normal law there, to the last bit
    limits, sigma, count = rounded_gaussian._limits(64), 1e6, 200_000
    plain = pseudo(5)

    def words(asked: int) -> NDArray[np.uint64]:
        made = plain(asked).reshape(3, -1)
        made[0] = limits[5] - 1
        return made.ravel()

    drawn = np.abs(draw(count, sigma, words))
    t = 2.0**20
    low, high = stats.norm.sf(6 * t / sigma), stats.norm.sf(7 * t / sigma)
    uniform = (low - stats.norm.sf(drawn / sigma)) / (low - high)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    for modulus in (2, 3, 64):
        counts = np.bincount(drawn % modulus, minlength=modulus)
        assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf, MOST])
def test_a_sigma_that_cannot_be_is_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        draw(1, sigma, pseudo(1))


def test_the_largest_sigma_overflows_nothing() -> None:
    sigma = np.nextafter(MOST, 0)
    drawn = draw(10_000, sigma, pseudo(7))
    assert float(drawn.std()) == pytest.approx(sigma, rel=0.05)
