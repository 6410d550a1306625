"""Ramps between durations, and weights that bend along them."""

import torch

from ufgraphfr.ops.absence import BENDS, RAMPS, ramps, weights_after, whenever

SECONDS = torch.tensor(list(BENDS.values()), dtype=torch.float64)


def test_each_ramp_rises_between_two_durations_and_stays() -> None:
    found = ramps(SECONDS)
    assert torch.equal(found, torch.ones(RAMPS + 1, RAMPS).tril(-1))
    assert torch.equal(ramps(torch.tensor([0.0, 60.0, -5.0])), torch.zeros(3, RAMPS))
    assert torch.equal(ramps(torch.tensor([1e9, torch.inf])), torch.ones(2, RAMPS))
    between = ramps(torch.linspace(3_600, 86_400, 50))
    assert bool((between[:, 0].diff() > 0).all())
    assert not bool(between[:, 1:].any())


def test_weights_are_those_of_a_visit_and_what_each_ramp_adds() -> None:
    fitted = torch.randn(3, 1, (1 + RAMPS) * 2).expand(3, len(SECONDS), -1)
    found = weights_after(fitted, 2, SECONDS)
    torch.testing.assert_close(found, fitted[:, 0].unflatten(1, (-1, 2)).cumsum(1))
    assert torch.equal(weights_after(fitted, 2, None), fitted[..., :2])
    assert torch.equal(weights_after(fitted[..., :2], 2, SECONDS), fitted[..., :2])


def test_weights_whenever_do_not_bend() -> None:
    weights = torch.randn(3, 2)
    assert torch.equal(whenever(weights, dated=False), weights)
    longer = whenever(weights, dated=True)[:, None].expand(-1, len(SECONDS), -1)
    assert torch.equal(
        weights_after(longer, 2, SECONDS), weights[:, None].expand(-1, len(SECONDS), -1)
    )
