"""Standardised scores."""

import torch

from ufgraphfr.ops.blend import standardised, standardised_by_sample


def test_every_user_gets_mean_zero_and_deviation_one() -> None:
    scores = 3 + 5 * torch.randn(4, 200, generator=torch.Generator().manual_seed(0))
    z = standardised(scores)
    torch.testing.assert_close(z.mean(1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(1), torch.ones(4))
    assert torch.equal(z.argsort(1), scores.argsort(1))


def test_a_user_with_the_same_score_everywhere_gets_zeros() -> None:
    assert torch.equal(standardised(torch.full((2, 5), 7.0)), torch.zeros(2, 5))


def test_with_everything_sampled_it_is_the_same() -> None:
    scores = torch.randn(4, 50, generator=torch.Generator().manual_seed(1))
    inside = torch.zeros(4, dtype=torch.bool)
    last = torch.cat((scores, scores[:, 7:8]), 1)
    z = standardised(scores)
    found = standardised_by_sample(last, inside, 50)
    torch.testing.assert_close(found, torch.cat((z, z[:, 7:8]), 1))
    # all but the last one sampled
    torch.testing.assert_close(standardised_by_sample(scores, ~inside, 50), z)


def test_a_sample_without_any_links_leaves_the_next_item_finite() -> None:
    """As with a sparse graph: one item of 10,001 is linked, and none of the hundred sampled."""
    scores, apart = torch.zeros(1, 101), torch.ones(1, dtype=torch.bool)
    assert torch.equal(standardised_by_sample(scores, apart, 10_001), torch.zeros(1, 101))
    whole = torch.zeros(10_001)
    whole[-1] = scores[0, -1] = 1e-20
    found = standardised_by_sample(scores, apart, 10_001)
    # in the catalogue it would have the same place
    torch.testing.assert_close(found[0, -1], standardised(1e20 * whole)[-1], rtol=0.01, atol=0)
