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
