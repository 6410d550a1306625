"""The fit of a fusion against autograd, and over groups of users against all in one place."""

from functools import reduce

import pytest
import torch

from ufgraphfr.ops.blend import standardised
from ufgraphfr.ops.fusion import (
    RIDGE,
    ROOT_FROM,
    FusionSums,
    Squash,
    fit_fusion,
    fusion_sums,
    squash_for,
    squashed,
)

USERS, RIVALS, PARTS = 80, 12, 4
GENERATOR = torch.Generator().manual_seed(0)
FEATURES = torch.randn(USERS, 1 + RIVALS, PARTS, generator=GENERATOR)
FEATURES[:, 0] += torch.tensor([1.0, 0.3, 0.0, -0.5])
RIVAL = torch.rand(USERS, 1 + RIVALS, generator=GENERATOR) < 0.8
RIVAL[:, 0] = True
VISIT = torch.ones(USERS, 1)
"""Nobody was away."""
MEMBER = torch.stack((torch.arange(USERS) % 2 == 0, torch.ones(USERS, dtype=torch.bool)))
START = torch.full((2, PARTS), 0.5, dtype=torch.float64)


def likelihood(weights: torch.Tensor) -> torch.Tensor:
    logits = (FEATURES.double() @ weights).masked_fill(~RIVAL, -torch.inf)
    return -logits.log_softmax(1)[:, 0]


def test_the_sums_are_loss_gradient_and_hessian() -> None:
    weights = torch.randn(2, PARTS, generator=GENERATOR, dtype=torch.float64)
    sums = fusion_sums(FEATURES, RIVAL, VISIT, MEMBER, weights)
    for fit in range(2):

        def loss(w: torch.Tensor, fit: int = fit) -> torch.Tensor:
            return likelihood(w)[MEMBER[fit]].sum()

        at = weights[fit].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(at), at)
        hessian = torch.autograd.functional.hessian(loss, weights[fit])
        torch.testing.assert_close(sums.loss[fit], loss(weights[fit]))
        torch.testing.assert_close(sums.gradient[fit], gradient)
        torch.testing.assert_close(sums.hessian[fit], hessian)


def test_weights_that_bend_are_those_of_parts_times_bends() -> None:
    bends = torch.cat((VISIT, torch.rand(USERS, 2, generator=GENERATOR)), 1)
    weights = torch.randn(2, 3 * PARTS, generator=GENERATOR, dtype=torch.float64)
    found = fusion_sums(FEATURES, RIVAL, bends, MEMBER, weights)
    product = (bends[:, None, :, None] * FEATURES[:, :, None]).flatten(2)
    expected = fusion_sums(product, RIVAL, VISIT, MEMBER, weights)
    for own, other in zip(vars(found).values(), vars(expected).values(), strict=True):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-6)


def test_devices_fit_what_a_central_optimiser_fits() -> None:
    places = torch.arange(USERS).split(7)

    def ask(weights: torch.Tensor) -> FusionSums:
        each = (
            fusion_sums(FEATURES[own], RIVAL[own], VISIT[own], MEMBER[:, own], weights)
            for own in places
        )
        return reduce(FusionSums.__add__, each)

    found = fit_fusion(ask, START)
    for fit in range(2):
        weights = START[fit].clone().requires_grad_()
        optimiser = torch.optim.LBFGS([weights], max_iter=200, tolerance_grad=1e-10)

        def closure(fit: int = fit, weights: torch.Tensor = weights) -> torch.Tensor:
            weights.grad = None
            loss = likelihood(weights)[MEMBER[fit]].sum()
            loss = loss + RIDGE / 2 * (weights - 2 / PARTS).square().sum()
            loss.backward()
            return loss

        optimiser.step(closure)
        torch.testing.assert_close(found[fit], weights.detach(), atol=1e-5, rtol=0)


def test_a_step_too_far_is_taken_back() -> None:
    """Rivals far apart: a full step of Newton's method from here makes the loss worse."""
    features = torch.zeros(40, 2, 1)
    features[:, 0, 0] = torch.where(torch.arange(40) < 30, 3.0, -3.0)
    rival, member = torch.ones(40, 2, dtype=torch.bool), torch.ones(1, 40, dtype=torch.bool)
    start = torch.full((1, 1), 3.0, dtype=torch.float64)
    losses = []

    def ask(weights: torch.Tensor) -> FusionSums:
        sums = fusion_sums(features, rival, VISIT[:40], member, weights)
        losses.append(float(sums.loss))
        return sums

    found = fit_fusion(ask, start)
    assert max(losses) > losses[0], "the step that is taken back"
    at = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    curve = torch.stack([ask(w.view(1, 1)).loss[0] for w in at])
    curve = curve + RIDGE / 2 * (at - 3).square()
    assert abs(float(found) - float(at[curve.argmin()])) < 2e-3


def test_a_fit_that_runs_out_of_steps_returns_the_best_weights_it_has_seen() -> None:
    """A curvature that is told far too small: each step overshoots, and is halved."""
    seen = list[tuple[float, float]]()

    def ask(weights: torch.Tensor) -> FusionSums:
        at = weights - 2
        loss, gradient = 50 * at.square().sum(1), 100 * at
        seen.append((float(loss + RIDGE / 2 * (weights - 3).square()), float(weights)))
        return FusionSums(loss, gradient, torch.full((1, 1, 1), 7.3, dtype=torch.float64))

    found = fit_fusion(ask, torch.full((1, 1), 3.0, dtype=torch.float64))
    assert float(found) == min(seen)[1]


@pytest.mark.parametrize("squash", ["log", "root"])
def test_squashed_scores_keep_their_order_and_sign(squash: Squash) -> None:
    scores = torch.randn(3, 50, generator=GENERATOR)
    found = squashed(scores, squash=squash)
    assert torch.equal(found.argsort(), scores.argsort())
    z = standardised(scores)
    lighter = {"log": (1 + z.abs()).log(), "root": 2 * (1 + z.abs()).sqrt() - 2}[squash]
    torch.testing.assert_close(found, z.sign() * lighter)
    assert torch.equal(squashed(torch.ones(2, 5), squash=squash), torch.zeros(2, 5))
    assert torch.equal(squashed(scores[:1], scores[1:], squash=squash), found)


def test_large_catalogues_keep_heavier_tails() -> None:
    assert [squash_for(items) for items in (1, ROOT_FROM, ROOT_FROM + 1)] == ["log", "log", "root"]


def test_scores_that_all_users_share_are_squashed_as_if_each_had_its_own() -> None:
    own, shared = torch.randn(4, 9), torch.randn(9)
    found = squashed([own, shared.expand(4, -1)], shared.expand(1, 4, -1))
    assert torch.equal(found, squashed(torch.stack((own, *[shared.repeat(4, 1)] * 2))))


def test_scores_that_are_not_used_are_neither_made_nor_there() -> None:
    def never() -> torch.Tensor:
        raise AssertionError

    own, used = torch.randn(4, 9, generator=GENERATOR), torch.tensor([False, True, False, True])
    found = squashed([never, own], [never], used=used)
    assert torch.equal(found[1], squashed([own])[0])
    assert not found[[0, 2]].any()
