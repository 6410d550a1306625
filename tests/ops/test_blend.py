"""Standardised scores."""

import torch

from ufgraphfr.ops.blend import standardised


def test_every_user_gets_mean_zero_and_deviation_one() -> None:
    scores = 3 + 5 * torch.randn(4, 200, generator=torch.Generator().manual_seed(0))
    z = standardised(scores)
    torch.testing.assert_close(z.mean(1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(1), torch.ones(4))
    assert torch.equal(z.argsort(1), scores.argsort(1))


def test_a_user_with_the_same_score_everywhere_gets_zeros() -> None:
    assert torch.equal(standardised(torch.full((2, 5), 7.0)), torch.zeros(2, 5))
