"""All users' softmax regressions at once, against Newton's method."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ufgraphfr.ops.local_head import fit_heads
from ufgraphfr.ops.taste import tastes


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), ridge=st.floats(0.3, 5), scale=st.floats(0.1, 1))
def test_it_finds_what_newtons_method_finds(seed: int, ridge: float, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.nn.functional.normalize(torch.randn(40, 6, generator=generator), dim=1)
    offset = torch.randn(40, generator=generator) * scale
    # one-sided histories, far from what everybody likes
    history = torch.rand(8, 40, generator=generator) * (features[:, 0] > 0.2) * scale
    expected = fit_heads(features.double(), offset.double(), history.double(), ridge, 30)
    found = tastes(features, offset, history @ features, history.sum(1), ridge, steps=200)

    # weights along which the likelihood is nearly flat are still on their way
    torch.testing.assert_close(found, expected.float(), atol=3e-3, rtol=3e-3)


def test_more_steps_never_make_it_worse_even_where_they_overshoot() -> None:
    generator = torch.Generator().manual_seed(1)
    # everybody's items are alike, a user's are not: the common curvature is far too small
    features = torch.eye(12) * 6
    offset = torch.tensor([8.0] + [0.0] * 11)
    history = torch.zeros(3, 12)
    history[:, 1:] = torch.rand(3, 11, generator=generator) * 20

    def value(steps: int) -> torch.Tensor:
        weights = tastes(features, offset, history @ features, history.sum(1), 0.1, steps)
        chance = torch.log_softmax(offset + weights @ features.T, 1)
        return (history * chance).sum(1) - 0.05 * weights.square().sum(1)

    values = torch.stack([value(steps) for steps in range(1, 40)])
    assert bool((values.diff(dim=0) >= -1e-3).all())
    assert bool((values[-1] > values[0]).all())


def test_who_wants_nothing_has_no_taste() -> None:
    features, offset = torch.randn(6, 3), torch.randn(6)
    nobody = tastes(features, offset, torch.zeros(2, 3), torch.zeros(2), 1.0)
    torch.testing.assert_close(nobody, torch.zeros(2, 3))
