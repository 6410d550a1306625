"""Histories sent through links are those sent through the dense operator, however long its rows."""

import pytest
import torch

from ufgraphfr.core.arrays.sparse_rows import pointers
from ufgraphfr.ops import link_rows
from ufgraphfr.ops.link_rows import propagate_links
from ufgraphfr.ops.recency import propagate

ITEMS = 12


def operator() -> torch.Tensor:
    """Rows of no, few and many links."""
    generator = torch.Generator().manual_seed(1)
    found = torch.rand(ITEMS, ITEMS, generator=generator)
    return found.masked_fill(torch.arange(ITEMS) >= torch.arange(ITEMS)[:, None], 0)


@pytest.mark.parametrize("long", [1, 5, 100])
@pytest.mark.parametrize("at_once", [2, 1000])
def test_each_sum_is_that_of_the_dense_operator(
    monkeypatch: pytest.MonkeyPatch, long: int, at_once: int
) -> None:
    monkeypatch.setattr(link_rows, "LONG", long)
    monkeypatch.setattr(link_rows, "AT_ONCE", at_once)
    dense = operator()
    links = pointers((dense > 0).sum(1)), dense.nonzero()[:, 1].int(), dense[dense > 0]
    histories = torch.tensor([0, 4, 4, 7, 9]), torch.tensor([11, 0, 3, 7, 7, 2, 10, 11, 1])
    weights = torch.rand(3, 9, generator=torch.Generator().manual_seed(2))
    found = propagate_links(*histories, weights, *links)
    for own, weight in zip(found, weights, strict=True):
        torch.testing.assert_close(own, propagate(*histories, weight, dense))
