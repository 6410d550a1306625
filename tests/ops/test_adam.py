"""Adam as a function, against torch's."""

import pytest
import torch

from ufgraphfr.ops.adam import Moments, adam


@pytest.mark.parametrize("at_once", [3, 2**16])
def test_it_steps_as_torch_does(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ufgraphfr.ops.adam._AT_ONCE", at_once)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(7, generator=generator)
    theirs = torch.nn.Parameter(weights.clone())
    optimiser = torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.98), eps=1e-8)
    zero = torch.zeros(7)
    moments = Moments(zero, zero, torch.zeros(1, dtype=torch.int64))
    for _ in range(5):
        gradient = torch.randn(7, generator=generator)
        theirs.grad = gradient.clone()
        optimiser.step()
        weights, moments = adam(weights, gradient, moments, 0.01, (0.9, 0.98))
        torch.testing.assert_close(weights, theirs.detach())
    assert int(moments.steps) == 5
    assert torch.equal(zero, torch.zeros(7))
