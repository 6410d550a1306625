"""Each user's weights against what the maximum must satisfy."""

import torch
from torch import Tensor

from ufgraphfr.ops.own_weights import fit_weights

SHARED, RIDGE = torch.tensor([0.5, 0.0, 1.0]), 0.7


def made() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    parts = torch.randn(3, 4, 5, 9, generator=generator)
    wanted = torch.randint(0, 9, (4, 5), generator=generator)
    wanted[1, :2], wanted[3] = -1, -1
    barred = torch.rand(4, 9, generator=generator) < 0.3
    return parts, wanted, barred


def likelihood(weights: Tensor) -> Tensor:
    """Written out, user by user and place by place."""
    parts, wanted, barred = made()
    total = -RIDGE / 2 * (weights - SHARED).square().sum()
    for user in range(4):
        for place in range(5):
            target = int(wanted[user, place])
            if target >= 0:
                logits = weights[user] @ parts[:, user, place]
                offered = ~barred[user]
                offered[target] = True
                total = total + logits[target] - logits[offered].logsumexp(0)
    return total


def test_newton_finds_the_maximum() -> None:
    weights = fit_weights(*made(), SHARED, RIDGE, steps=8).requires_grad_()
    (gradient,) = torch.autograd.grad(likelihood(weights), weights)
    torch.testing.assert_close(gradient, torch.zeros(4, 3), atol=1e-4, rtol=0)
    assert likelihood(weights) > likelihood(SHARED.expand(4, 3))


def test_nothing_to_go_by_leaves_the_shared_weights() -> None:
    torch.testing.assert_close(fit_weights(*made(), SHARED, RIDGE, steps=3)[3], SHARED)


def test_a_strong_ridge_keeps_the_shared_weights() -> None:
    weights = fit_weights(*made(), SHARED, 1e6, steps=3)
    torch.testing.assert_close(weights, SHARED.expand(4, 3), atol=1e-4, rtol=0)
