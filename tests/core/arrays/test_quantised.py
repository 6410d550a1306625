"""A coarse grid: close to the numbers, unbiased, and never out of its range."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ufgraphfr.core.arrays.quantised import BLOCK, Quantised


def values(clients: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(clients, *shape, generator=torch.Generator().manual_seed(seed))


def draws(given_values: Tensor, seed: int = 1) -> Tensor:
    count = given_values[0].numel()
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(len(given_values), count, generator=generator)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("shape", [(3,), (BLOCK,), (5, 77)])
def test_no_number_moves_by_more_than_a_step(bits: int, shape: tuple[int, ...]) -> None:
    exact = values(3, *shape)
    coarse = Quantised.of(exact, bits, draws(exact))
    assert coarse.dense().shape == exact.shape
    assert int(coarse.levels.abs().max()) <= 2 ** (bits - 1) - 1
    step = exact.abs().max() / (2 ** (bits - 1) - 1)
    assert float((coarse.dense() - exact).abs().max()) < 1.02 * step


@given(st.integers(2, 8), st.floats(-30, 30), st.floats(1e-6, 1e4))
def test_the_largest_number_stays_in_range(bits: int, value: float, scale: float) -> None:
    exact = torch.tensor([[value * scale, scale, 0.0]])
    for edge in (0.001, 0.999):
        coarse = Quantised.of(exact, bits, torch.full((1, 3), edge))
        assert coarse.dense().isfinite().all()
        most = exact.abs().max()
        assert float((coarse.dense() - exact).abs().max()) <= 1.02 * most / (2 ** (bits - 1) - 1)


def test_rounding_keeps_the_mean() -> None:
    exact = values(1, 6).expand(20_000, 6)
    mean = Quantised.of(exact, 3, draws(exact)).dense().mean(0)
    # five standard errors of a rounding error of at most one step
    step = float(exact.abs().max()) / 3
    assert float((mean - exact[0]).abs().max()) < 5 * step / 20_000**0.5


def test_zeros_stay_zeros() -> None:
    nothing = torch.zeros(2, 200)
    assert torch.equal(Quantised.of(nothing, 4, draws(nothing)).dense(), nothing)


def test_clients_are_picked_joined_and_summed() -> None:
    exact = values(4, 10, 3)
    coarse = Quantised.of(exact, 8, draws(exact))
    picked = coarse.select(torch.tensor([2, 0]))
    assert torch.equal(picked.dense(), coarse.dense()[[2, 0]])
    parts = [coarse.select(torch.tensor(own)) for own in ([0, 1], [2], [3])]
    assert torch.equal(
        Quantised.cat(parts, [torch.tensor([0, 1]), torch.tensor([2]), torch.tensor([3])]).dense(),
        coarse.dense(),
    )
    torch.testing.assert_close(coarse.total(), coarse.dense().sum(0))


def test_blocks_that_are_left_out_are_zero_and_the_others_as_ever() -> None:
    exact = values(3, 5, 77)
    blocks = torch.tensor([0, 3], dtype=torch.int32)
    uniform = torch.full((3, 2 * BLOCK), 0.5)
    coarse = Quantised.of(exact, 8, uniform, blocks)
    whole = Quantised.of(exact, 8, torch.full((3, 5 * 77), 0.5)).dense().flatten(1)
    sent = torch.zeros(5 * 77, dtype=torch.bool)
    sent[:BLOCK] = sent[3 * BLOCK :] = True
    found = coarse.dense()
    assert found.shape == exact.shape
    assert torch.equal(found.flatten(1), whole * sent)
    assert torch.equal(coarse.select(torch.tensor([2])).dense(), found[2:])
