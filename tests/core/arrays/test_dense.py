"""Sums of dense arrays are exact enough, whatever clients send."""

import pytest
import torch

from ufgraphfr.core.arrays.dense import Dense


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("clients", [1, 7])
def test_short_floats_are_widened_before_they_are_added(dtype: torch.dtype, clients: int) -> None:
    values = torch.full((clients, 3), 3e4, dtype=dtype)
    total = Dense(values).total()
    assert total.dtype == torch.float32
    assert torch.equal(total.double(), values.double().sum(0))


@pytest.mark.parametrize("odd", [torch.nan, torch.inf, -torch.inf])
def test_a_number_that_is_not_finite_is_found(odd: float) -> None:
    assert not Dense(torch.tensor([[1.0, odd, 2.0]])).is_finite()
    assert not Dense(torch.tensor([[torch.inf, odd, -torch.inf]])).is_finite()


def test_large_numbers_are_finite_although_their_sum_is_not() -> None:
    assert Dense(torch.full((2, 3), torch.finfo(torch.float32).max)).is_finite()
