"""Each user's softmax regression against a general optimiser."""

import torch
from largest_tensor import LargestTensor
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.on_device.softmax_regression import SoftmaxRegression


def fit(features: Tensor, offset: Tensor, history: Tensor, ridge: float, steps: int) -> Tensor:
    regression = SoftmaxRegression.of(features, offset)
    return regression.fit(history @ features, history.sum(1), ridge, steps)


def objective(weights, features, offset, history, ridge):
    chance = torch.log_softmax(offset + weights @ features.T, dim=1)
    return (history * chance).sum() - ridge / 2 * weights.square().sum()


def test_it_finds_the_maximum() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    offset = torch.randn(30, generator=generator, dtype=torch.float64)
    history = torch.rand(5, 30, generator=generator, dtype=torch.float64)
    history *= torch.rand(5, 30, generator=generator) < 0.3
    found = fit(features, offset, history, ridge=0.7, steps=200)
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


def test_without_history_or_features_there_is_no_preference() -> None:
    features, offset = torch.randn(6, 3), torch.randn(6)
    assert torch.equal(fit(features, offset, torch.zeros(2, 6), 1.0, 3), torch.zeros(2, 3))
    nothing = fit(torch.zeros(6, 0), offset, torch.ones(2, 6), 1.0, 3)
    assert nothing.shape == (2, 0)


def test_products_of_features_are_held_for_no_catalogue_and_nobody_may_ask() -> None:
    items, columns = 500, 40
    features, offset = torch.randn(items, columns), torch.randn(items)
    with LargestTensor() as watched:
        fit(features, offset, torch.ones(3, items), 1.0, 4)
    assert watched.numbers <= items * columns
    assert fit(features, offset, torch.ones(0, items), 1.0, 4).shape == (0, columns)


def test_it_comes_to_the_maximum_where_whole_steps_overshoot() -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.nn.functional.normalize(torch.randn(40, 6, generator=generator), dim=1)
    offset = torch.randn(40, generator=generator) * 2
    history = torch.rand(8, 40, generator=generator) * (features[:, 0] > 0.2) * 2
    doubles = features.double(), offset.double(), history.double()
    values = torch.stack(
        [objective(fit(*doubles, 0.375, n), *doubles, 0.375) for n in range(0, 300, 10)]
    )
    assert bool((values.diff() >= -1e-9).all())
    found = fit(*doubles, 0.375, 400).requires_grad_()
    (slope,) = torch.autograd.grad(objective(found, *doubles, 0.375), found)
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-6, rtol=0)


def test_more_steps_never_make_it_worse_even_where_they_overshoot() -> None:
    generator = torch.Generator().manual_seed(1)
    # everybody's items are alike, a user's are not: the common curvature is far too small
    features = torch.eye(12) * 6
    offset = torch.tensor([8.0] + [0.0] * 11)
    history = torch.zeros(3, 12)
    history[:, 1:] = torch.rand(3, 11, generator=generator) * 20

    def value(steps: int) -> torch.Tensor:
        weights = fit(features, offset, history, 0.1, steps)
        chance = torch.log_softmax(offset + weights @ features.T, 1)
        return (history * chance).sum(1) - 0.05 * weights.square().sum(1)

    values = torch.stack([value(steps) for steps in range(1, 40)])
    assert bool((values.diff(dim=0) >= -1e-3).all())
    assert bool((values[-1] > values[0]).all())


def test_items_with_the_same_features_are_one_item_with_their_sum() -> None:
    generator = torch.Generator().manual_seed(2)
    # mostly empty, and 300 items share 40 rows
    rows = (torch.rand(40, 60, generator=generator) < 0.04) * 1.0
    features = rows[torch.randint(40, (300,), generator=generator)]
    offset = torch.randn(300, generator=generator) * 2
    history = torch.rand(5, 300, generator=generator) * (
        torch.rand(5, 300, generator=generator) < 0.05
    )
    apart = torch.cat((features, torch.linspace(0, 1e-6, 300)[:, None]), 1)
    found = fit(features, offset, history, 1.0, 40)
    torch.testing.assert_close(
        found, fit(apart, offset, history, 1.0, 40)[:, :60], atol=1e-4, rtol=0
    )
    regression = SoftmaxRegression.of(features, offset)
    torch.testing.assert_close(regression.preference(found), found @ features.T)
