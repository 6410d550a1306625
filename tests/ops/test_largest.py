"""The largest numbers against a stable sort."""

import pytest
import torch

from ufgraphfr.ops import largest as module
from ufgraphfr.ops.largest import largest


@pytest.mark.parametrize("at_once", [1, 7, 10**6])
@pytest.mark.parametrize("count", [1, 3, 60, 99, 100])
def test_they_are_the_first_of_a_stable_sort(monkeypatch, at_once: int, count: int) -> None:
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(100, generator=generator) * 10.0 ** torch.arange(-10, 10).repeat(5)
    # many alike, some of them zero, and some without an end
    values[20:60] = values[20:60].round()
    values[90:], values[5] = values[3], torch.inf
    expected = torch.zeros(100, dtype=torch.bool)
    expected[values.argsort(descending=True, stable=True)[:count]] = True
    assert torch.equal(largest(values, count), expected)
