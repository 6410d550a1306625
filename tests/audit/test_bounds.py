"""Known answers: published values, closed forms and brute force."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from sklearn.metrics import roc_auc_score

from ufgraphfr.audit.bounds import (
    auc,
    best_guess,
    chi_square_quantile,
    gaussian_ceiling,
    gaussian_delta,
    gaussian_epsilon,
    gaussian_estimate,
    gaussian_mu,
    measured_auc,
    one_run_epsilon,
    one_run_p_value,
    pure_ceiling,
    pure_guess,
)

DELTA = 1e-5


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=40))
def test_auc_is_that_of_scikit_learn(pairs):
    scores, truth = (torch.tensor(column) for column in zip(*pairs, strict=True))
    if bool(truth.all()) or not bool(truth.any()):
        assert math.isnan(auc(scores, truth))
        return
    assert auc(scores, truth) == pytest.approx(roc_auc_score(truth.numpy(), scores.numpy()))


def test_the_lower_bound_of_an_auc_holds_nearly_always():
    generator = torch.Generator().manual_seed(0)
    true_value, misses = gaussian_ceiling(1.0), 0
    for _ in range(300):
        inside = torch.rand(60, generator=generator) < 0.5
        scores = torch.randn(60, generator=generator) + inside
        misses += measured_auc(scores, inside).low > true_value
    assert misses / 300 <= 0.01


@pytest.mark.parametrize(
    ("epsilon", "sigma", "ceiling"),
    [(1, 3.7306, 0.575), (2, 1.9938, 0.639), (4, 1.0812, 0.743), (8, 0.6002, 0.881)],
)
def test_gaussian_curve(epsilon, sigma, ceiling):
    mu = gaussian_mu(epsilon, DELTA)
    assert 1 / mu == pytest.approx(sigma, abs=1e-4)
    assert gaussian_epsilon(mu, DELTA) == pytest.approx(epsilon, abs=1e-6)
    assert gaussian_ceiling(mu) == pytest.approx(ceiling, abs=6e-4)


def test_sigma_one_at_delta_1e_5():
    assert gaussian_epsilon(1.0, DELTA) == pytest.approx(4.3772, abs=1e-4)


@pytest.mark.slow
@given(st.floats(0.05, 6), st.floats(0, 8))
def test_gaussian_delta_is_the_integral_of_what_is_too_likely(mu, epsilon):
    def excess(x: float) -> float:
        return max(0.0, stats.norm.pdf(x, mu) - math.exp(epsilon) * stats.norm.pdf(x))

    start = epsilon / mu + mu / 2
    integral, _ = integrate.quad(excess, start, start + 40, limit=200)
    assert gaussian_delta(epsilon, mu) == pytest.approx(integral, abs=1e-7)


def test_no_difference_is_no_epsilon():
    assert gaussian_epsilon(0.0, DELTA) == gaussian_epsilon(-1.0, DELTA) == 0.0
    assert gaussian_delta(1.0, 0.0) == 0.0


@pytest.mark.parametrize(("epsilon", "delta"), [(1.0, 0.0), (1.0, 1e-5), (0.3, 0.01), (4.0, 0.001)])
def test_pure_ceiling_is_the_area_over_the_trade_off_curve(epsilon, delta):
    false = np.linspace(0, 1, 200_001)
    missed = np.maximum.reduce(
        [
            np.zeros_like(false),
            1 - delta - math.exp(epsilon) * false,
            math.exp(-epsilon) * (1 - delta - false),
        ]
    )
    area = 1 - np.trapezoid(missed, false)
    assert pure_ceiling(epsilon, delta) == pytest.approx(area, abs=1e-5)
    assert pure_ceiling(1.0, 0.0) == pytest.approx(math.e / (1 + math.e))


@pytest.mark.parametrize(("correct", "guesses"), [(7, 10), (10, 10), (60, 100), (0, 10)])
@pytest.mark.parametrize("epsilon", [0.0, 0.7, 3.0])
def test_p_value_is_the_formula_by_brute_force(correct, guesses, epsilon):
    canaries, delta = 200, 1e-3
    chance = math.exp(epsilon) / (1 + math.exp(epsilon))
    law = stats.binom(guesses, chance)
    tail = law.sf(correct - 1)
    worst = max(
        ((law.cdf(correct - 1) - law.cdf(correct - i - 1)) / i for i in range(1, correct + 1)),
        default=0.0,
    )
    expected = min(1.0, tail + 2 * canaries * delta * worst)
    found = one_run_p_value(correct, guesses, canaries, epsilon, delta)
    assert found == pytest.approx(expected, abs=1e-12)


def test_one_run_bound_without_delta_is_clopper_pearson():
    # all 40 guesses right: e^eps / (1 + e^eps) >= .05 ** (1 / 40)
    scores = torch.arange(40.0)
    chance = 0.05 ** (1 / 40)
    expected = math.log(chance / (1 - chance))
    assert one_run_epsilon(scores, scores >= 20, 0.0, (1.0,)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shares", [(0.1, 0.3, 1.0), (1.0, 0.1), (1.0, 1.0, 1.0, 1.0, 1.0)])
def test_the_significance_is_divided_among_the_tries(shares):
    # all 40 guesses right in the try that says most: each of n tries may err with .05 / n
    scores = torch.arange(40.0)
    chance = (0.05 / len(shares)) ** (1 / 40)
    expected = math.log(chance / (1 - chance))
    assert one_run_epsilon(scores, scores >= 20, 0.0, shares) == pytest.approx(expected, rel=1e-6)


def test_one_run_bound_holds_nearly_always():
    generator = torch.Generator().manual_seed(1)
    mu, wrong = gaussian_mu(1.0, DELTA), 0
    for _ in range(60):
        inside = torch.rand(400, generator=generator) < 0.5
        scores = torch.randn(400, generator=generator) + mu * inside
        wrong += one_run_epsilon(scores, inside, DELTA) > 1.0
    assert wrong <= 6


def test_guessing_blindly_refutes_nothing():
    generator = torch.Generator().manual_seed(2)
    inside = torch.rand(500, generator=generator) < 0.5
    assert one_run_epsilon(torch.randn(500, generator=generator), inside, DELTA) == 0.0


def test_gaussian_estimate_finds_the_distance_and_its_bound_is_below():
    generator = torch.Generator().manual_seed(3)
    inside = torch.rand(4000, generator=generator) < 0.5
    scores = 5 * (torch.randn(4000, generator=generator) + 2 * inside) - 3
    mu, epsilon = gaussian_estimate(scores, inside, DELTA)
    assert mu.value == pytest.approx(2, abs=0.1)
    assert mu.low == pytest.approx(mu.value - 3.090 * math.sqrt(4 / 4000 + 4 / 8000), abs=2e-3)
    assert epsilon.low < gaussian_epsilon(2, DELTA) < epsilon.value + 1


@pytest.mark.parametrize("degrees", [1, 16, 240, 1682, 200_000])
@pytest.mark.parametrize("chance", [0.001 / 7, 0.001, 0.5, 0.9])
def test_chi_square_quantile_is_that_of_scipy(degrees, chance):
    expected = stats.chi2(degrees).ppf(chance)
    assert chi_square_quantile(chance, degrees) == pytest.approx(expected, rel=1e-6)


def test_the_worst_of_many_estimates_needs_more_to_fail():
    generator = torch.Generator().manual_seed(4)
    inside = torch.rand(400, generator=generator) < 0.5
    scores = torch.randn(400, generator=generator) + inside
    (one, _), (many, _) = (gaussian_estimate(scores, inside, DELTA, tries) for tries in (1, 20))
    assert many.value == one.value
    sure = stats.norm.isf(0.001 / 20) / stats.norm.isf(0.001)
    assert many.value - many.low == pytest.approx(sure * (one.value - one.low))


def test_ten_thousand_canaries_catch_noise_too_small_by_the_root_of_two_at_epsilon_one():
    generator, mu = torch.Generator().manual_seed(5), gaussian_mu(1.0, DELTA)
    for factor, caught in ((1.0, 0), (math.sqrt(2), 8)):
        found = 0
        for _ in range(10):
            inside = torch.rand(10_000, generator=generator) < 0.5
            scores = torch.randn(10_000, generator=generator) / factor + mu * inside
            found += gaussian_estimate(scores, inside, DELTA)[1].low > 1.0
        assert found >= caught
        assert found == 0 or caught


@given(st.floats(0.1, 5))
def test_the_best_guess_is_half_the_distance_between_what_two_worlds_show(mu):
    # at even odds a guess is right (1 + total variation) / 2 of the time
    assert best_guess(mu) == pytest.approx((1 + gaussian_delta(0.0, mu)) / 2, abs=1e-12)


def test_guesses_are_those_of_the_documentation():
    assert pure_guess(1.0, DELTA) == pytest.approx(0.731, abs=1e-3)
    assert best_guess(gaussian_mu(1.0, DELTA)) == pytest.approx(0.553, abs=1e-3)
    assert best_guess(gaussian_mu(1.0, DELTA)) < pure_guess(1.0, DELTA)
    assert pure_guess(0.0, 0.1) == pytest.approx(0.55)
