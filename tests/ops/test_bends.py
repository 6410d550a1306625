"""Ramps between two values, and weights that bend along them."""

import pytest
import torch

from ufgraphfr.ops.bends import (
    LONG,
    RAMPS,
    SHORT,
    TIMES,
    bend_with,
    bends,
    bent,
    length_ramp,
    ramps,
    sets_of,
    unbent,
)

SECONDS = torch.tensor(list(TIMES.values()), dtype=torch.float64)
COUNTS = torch.tensor([SHORT, LONG, 32, SHORT, 1_000])
SETS = sorted(sets_of(length, absence) for length in (False, True) for absence in (False, True))


def test_each_ramp_rises_between_two_durations_and_stays() -> None:
    found = ramps(SECONDS)
    assert torch.equal(found, torch.ones(RAMPS + 1, RAMPS).tril(-1))
    assert torch.equal(ramps(torch.tensor([0.0, 60.0, -5.0])), torch.zeros(3, RAMPS))
    assert torch.equal(ramps(torch.tensor([1e9, torch.inf])), torch.ones(2, RAMPS))
    between = ramps(torch.linspace(3_600, 86_400, 50))
    assert bool((between[:, 0].diff() > 0).all())
    assert not bool(between[:, 1:].any())


def test_one_ramp_rises_from_short_to_long_histories() -> None:
    found = length_ramp(torch.tensor([0, 1, SHORT, 32, LONG, 10_000]))[:, 0]
    assert found.tolist() == [0, 0, 0, 0.5, 1, 1]
    assert bool((length_ramp(torch.arange(SHORT, LONG + 1)).diff(dim=0) > 0).all())


def test_the_number_of_sets_tells_what_weights_bend_with() -> None:
    assert len(set(SETS)) == 4
    for length in (False, True):
        for absence in (False, True):
            assert bend_with(sets_of(length, absence)) == (length, absence)


@pytest.mark.parametrize("sets", SETS)
def test_weights_are_those_of_a_short_history_in_a_visit_and_what_each_ramp_adds(sets: int) -> None:
    fitted = torch.randn(3, 1, sets * 2).expand(3, len(SECONDS), -1)
    each, (length, absence) = fitted[:, 0].unflatten(1, (sets, 2)), bend_with(sets)
    expected = each[:, :1].expand(-1, len(SECONDS), -1).clone()
    if length:
        expected += length_ramp(COUNTS) * each[:, 1:2]
    if absence:
        expected[:, 1:] += each[:, 1 + length :].cumsum(1)
    torch.testing.assert_close(bent(fitted, 2, COUNTS, SECONDS), expected)
    assert bends(sets, COUNTS, SECONDS).shape == (len(COUNTS), sets)
    in_a_visit = torch.zeros_like(SECONDS)
    assert torch.equal(bends(sets, COUNTS, None), bends(sets, COUNTS, in_a_visit))


@pytest.mark.parametrize("sets", SETS)
def test_weights_for_everybody_do_not_bend(sets: int) -> None:
    weights = torch.randn(3, 2)
    longer = unbent(weights, sets)[:, None].expand(-1, len(SECONDS), -1)
    found = bent(longer, 2, COUNTS, SECONDS)
    assert torch.equal(found, weights[:, None].expand_as(found))
