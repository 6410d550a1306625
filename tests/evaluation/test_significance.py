"""The paired bootstrap: honest under the null, sharp under a shift."""

import numpy as np
import pytest

from ufgraphfr.evaluation.significance import difference, holm


def runs(
    rng: np.random.Generator, seeds: int, users: int, shift: float = 0.0, seed_spread: float = 0.02
) -> tuple[np.ndarray, np.ndarray]:
    """Two runs that share how hard each user is."""
    user = rng.normal(scale=3.0, size=users)
    a, b = (
        user
        + rng.normal(scale=0.5, size=(seeds, users))
        + rng.normal(scale=seed_spread, size=(seeds, 1))
        for _ in range(2)
    )
    return a + shift, b


@pytest.mark.parametrize(("seeds", "seed_spread"), [(1, 0.0), (5, 0.1), (10, 0.1)])
def test_p_values_of_equal_runs_are_near_uniform(seeds: int, seed_spread: float) -> None:
    rng = np.random.default_rng(seeds)
    cases = [runs(rng, seeds, 100, seed_spread=seed_spread) for _ in range(200)]
    p = np.array([difference(a, b, draws=300).p_value for a, b in cases])
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.04)
    assert (p < 0.5).mean() == pytest.approx(0.5, abs=0.12)


def test_intervals_hold_the_true_difference() -> None:
    rng = np.random.default_rng(7)
    found = [difference(*runs(rng, 5, 200, shift=0.3), draws=300) for _ in range(100)]
    assert np.mean([one.low <= 0.3 <= one.high for one in found]) >= 0.9


def test_a_shift_is_detected_and_pairing_is_why() -> None:
    a, b = runs(np.random.default_rng(0), 5, 400, shift=0.15)
    paired = difference(a, b)
    assert paired.mean == pytest.approx(a.mean() - b.mean())
    assert 0 < paired.low < paired.mean < paired.high
    assert paired.p_value < 0.01
    assert paired.seeds == (5, 5)
    shuffled = difference(a, np.random.default_rng(1).permutation(b, axis=1))
    assert shuffled.p_value > 0.05


def test_swapping_the_runs_flips_the_sign() -> None:
    a, b = runs(np.random.default_rng(3), 3, 150, shift=0.05)
    one, other = difference(a, b), difference(b, a)
    assert one.mean == pytest.approx(-other.mean)
    assert one.low == pytest.approx(-other.high, abs=0.01)
    assert one.p_value == pytest.approx(other.p_value, abs=0.03)


def test_the_same_run_twice_is_no_difference() -> None:
    a, _ = runs(np.random.default_rng(4), 1, 50)
    same = difference(a, a, draws=200)
    assert (same.mean, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_a_seed_fixes_the_result_and_a_closed_form_needs_one_run() -> None:
    a, b = runs(np.random.default_rng(5), 4, 60)
    # 700 draws are not a whole number of blocks
    assert difference(a, b[:1], seed=1, draws=700) == difference(a, b[:1], seed=1, draws=700)
    assert difference(a, b[:1], seed=1, draws=700) != difference(a, b[:1], seed=2, draws=700)
    assert difference(a, b[:1], draws=700).seeds == (4, 1)


@pytest.mark.parametrize(("a", "b"), [((2, 3), (2, 4)), ((3,), (3,))])
def test_other_users_are_refused(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[seeds, users\]"):
        difference(np.zeros(a), np.zeros(b))


def test_one_seed_less_than_there_are_is_drawn() -> None:
    """Of four seeds, one of them at 1, three are drawn: all at 1 are 1/64, two or more 10/64."""
    one_of_four = np.repeat([[0.0], [0.0], [0.0], [1.0]], 10, axis=1)
    found = difference(one_of_four, np.zeros((1, 10)))
    assert (found.low, found.mean) == (0.0, 0.25)
    # of four drawn, three or more at 1 would be 13/256, above 1/40
    assert found.high == pytest.approx(2 / 3)


def test_holm_multiplies_by_how_many_are_left() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
