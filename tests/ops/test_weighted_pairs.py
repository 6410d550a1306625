"""Weighted pairs against every user's own outer product."""

import pytest
import torch

from ufgraphfr.core.arrays.sparse_rows import pointers
from ufgraphfr.ops import item_graph
from ufgraphfr.ops import weighted_pairs as module
from ufgraphfr.ops.weighted_pairs import weighted_pairs


@pytest.mark.parametrize("dense_items", [0, 5_000], ids=["sparse", "dense"])
@pytest.mark.parametrize("power", [0.0, 1.0, 0.7])
def test_they_are_a_sum_of_outer_products(
    power: float, dense_items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_DENSE_ITEMS", dense_items)
    monkeypatch.setattr(item_graph, "_CHUNK", 3)
    generator = torch.Generator().manual_seed(0)
    has = torch.rand(8, 11, generator=generator) < 0.4
    has[2] = False
    ptr, items = pointers(has.sum(1)), has.nonzero()[:, 1]
    expected = torch.zeros(11, 11)
    for user in has.float():
        expected += torch.outer(user, user) * user.sum().clamp(min=1) ** -power
    for rows in (range(0, 11), range(3, 7), range(4, 4)):
        found = weighted_pairs(ptr, items, 11, power, rows)
        assert found.is_sparse == (dense_items == 0)
        dense = found.to_dense().view(len(rows), 11)
        torch.testing.assert_close(dense, expected[rows.start : rows.stop])


def test_with_power_one_nobody_adds_more_than_one() -> None:
    for length in (1, 4, 10):
        items = torch.arange(length)
        own = weighted_pairs(torch.tensor([0, length]), items, 12, 1.0, range(12))
        assert float(own.norm()) == pytest.approx(1.0)
