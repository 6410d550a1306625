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


def test_it_comes_to_the_maximum_where_whole_steps_overshoot() -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.nn.functional.normalize(torch.randn(40, 6, generator=generator), dim=1)
    offset = torch.randn(40, generator=generator) * 2
    history = torch.rand(8, 40, generator=generator) * (features[:, 0] > 0.2) * 2
    given = features.double(), offset.double(), history.double()
    values = torch.stack([objective(fit_heads(*given, 0.375, n), *given, 0.375) for n in range(30)])
    assert bool((values.diff() >= -1e-9).all())
    found = fit_heads(*given, 0.375, 40).requires_grad_()
    (slope,) = torch.autograd.grad(objective(found, *given, 0.375), found)
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-6, rtol=0)
