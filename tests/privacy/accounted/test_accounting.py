"""Epsilon and noise: known answers to three digits, and each the inverse of the other."""

import math

import dp_accounting
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ufgraphfr.core.errors import InputError
from ufgraphfr.privacy.accounted.accounting import (
    EMPTY,
    Gaussian,
    epsilon_of,
    feasible,
    multipliers,
    noise_of,
    spent,
)

DELTA = 1e-5


def test_the_analytic_gaussian() -> None:
    assert noise_of(1, DELTA) == pytest.approx(3.7306, rel=1e-4)
    assert epsilon_of(1, DELTA) == pytest.approx(4.3772, rel=1e-4)


@pytest.mark.parametrize(
    ("rate", "rounds", "noise", "epsilon"),
    [
        (0.01, 10_000, 4.0, 0.947),
        (0.1, 50, 0.80507, 7.957),
        (0.1, 50, 1.15193, 3.954),
        (0.1, 50, 1.76045, 1.983),
        (0.1, 50, 2.97750, 0.980),
    ],
)
def test_poisson_cohorts(rate: float, rounds: int, noise: float, epsilon: float) -> None:
    assert spent([Gaussian(rounds, rate)], [noise], DELTA) == pytest.approx(epsilon, abs=6e-4)


@settings(max_examples=30)
@given(
    parts=st.lists(
        st.builds(Gaussian, st.integers(1, 100), st.none(), st.floats(0.1, 1)),
        min_size=1,
        max_size=4,
    ),
    epsilon=st.floats(0.1, 20),
)
def test_what_is_calibrated_costs_what_was_given(parts: list[Gaussian], epsilon: float) -> None:
    noise = multipliers(parts, epsilon, DELTA)
    assert spent(parts, noise, DELTA) == pytest.approx(epsilon, rel=1e-4)


def test_shares_are_shares_of_mu_squared() -> None:
    small, large = multipliers([Gaussian(1, share=0.2), Gaussian(1, share=0.8)], 2, DELTA)
    assert small == pytest.approx(noise_of(2, DELTA) / math.sqrt(0.2))
    assert large == pytest.approx(noise_of(2, DELTA) / math.sqrt(0.8))


def test_rounds_cost_their_root() -> None:
    assert multipliers([Gaussian(25)], 2, DELTA)[0] == pytest.approx(5 * noise_of(2, DELTA))


@pytest.mark.slow
def test_coins_save_noise_and_never_cost_more_than_was_given() -> None:
    (without,) = multipliers([Gaussian(20)], 2, DELTA)
    part = Gaussian(20, rate=0.1)
    (noise,) = multipliers([part], 2, DELTA)
    assert noise < without / 2
    assert spent([part], [noise], DELTA) == pytest.approx(2, rel=1e-2)
    assert spent([part], [noise], DELTA) <= 2 + 1e-9


def test_parts_with_coins_pay_for_rounds_that_come_out_empty() -> None:
    part, noise = Gaussian(20, rate=0.1), 2.0
    account = dp_accounting.pld.PLDAccountant()
    event = dp_accounting.PoissonSampledDpEvent(0.1, dp_accounting.GaussianDpEvent(noise))
    account.compose(dp_accounting.SelfComposedDpEvent(event, 20))
    assert spent([part], [noise], DELTA) == account.get_epsilon(DELTA * (1 - EMPTY))
    assert spent([Gaussian(1)], [noise], DELTA) == epsilon_of(noise, DELTA)


@pytest.mark.slow
def test_a_one_shot_part_beside_a_part_with_coins() -> None:
    parts = [Gaussian(1, share=0.5), Gaussian(20, rate=0.1, share=0.5)]
    noise = multipliers(parts, 2, DELTA)
    assert spent(parts, noise, DELTA) <= 2 + 1e-9
    assert noise[0] == pytest.approx(noise_of(2, DELTA) * math.sqrt(2))


def test_an_impossible_budget_is_refused_with_the_range() -> None:
    parts = [Gaussian(10**8)]
    with pytest.raises(InputError, match=r"epsilon = 0.5 cannot be kept .* between .* and"):
        multipliers(parts, 0.5, DELTA)
    low, high = feasible(parts, DELTA)
    noise = multipliers(parts, (low + high) / 2, DELTA)
    assert spent(parts, noise, DELTA) == pytest.approx((low + high) / 2, rel=1e-3)


def test_two_parts_with_coins_are_refused() -> None:
    with pytest.raises(InputError, match="Poisson cohorts in more than one part"):
        multipliers([Gaussian(2, 0.1), Gaussian(2, 0.1)], 1, DELTA)
