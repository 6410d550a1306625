"""Each user's softmax regression, against a general optimiser."""

import torch

from ufgraphfr.ops.local_head import fit_heads


def objective(weights, features, offset, history, ridge):
    chance = torch.log_softmax(offset + weights @ features.T, dim=1)
    return (history * chance).sum() - ridge / 2 * weights.square().sum()


def test_it_finds_the_maximum() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    offset = torch.randn(30, generator=generator, dtype=torch.float64)
    history = torch.rand(5, 30, generator=generator, dtype=torch.float64)
    history *= torch.rand(5, 30, generator=generator) < 0.3
    found = fit_heads(features, offset, history, ridge=0.7, steps=8)
    searched = torch.zeros(5, 4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [searched], max_iter=200, tolerance_grad=1e-10, tolerance_change=1e-14
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = -objective(searched, features, offset, history, 0.7)
        loss.backward()
        return loss

    optimiser.step(closure)
    torch.testing.assert_close(found, searched.detach(), atol=1e-5, rtol=1e-5)


def test_without_history_or_features_there_is_no_taste() -> None:
    features, offset = torch.randn(6, 3), torch.randn(6)
    assert torch.equal(fit_heads(features, offset, torch.zeros(2, 6), 1.0, 3), torch.zeros(2, 3))
    nothing = fit_heads(torch.zeros(6, 0), offset, torch.ones(2, 6), 1.0, 3)
    assert nothing.shape == (2, 0)
