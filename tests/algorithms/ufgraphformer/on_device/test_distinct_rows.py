"""Products with a table's distinct rows are products with the table."""

import pytest
import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.on_device import distinct_rows
from ufgraphfr.algorithms.ufgraphformer.on_device.distinct_rows import Compressed, DistinctRows


def table(filled: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Twenty distinct rows at most, for fifty items; row 0 is empty."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(20, 30, generator=generator, dtype=dtype)
    rows *= torch.rand(20, 30, generator=generator) < filled
    rows[0] = 0
    return rows[torch.randint(20, (50,), generator=generator)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("filled", [0.0, 0.05, 0.9])
def test_sums_over_rows_are_sums_over_items(filled: float, dtype: torch.dtype) -> None:
    features = table(filled, dtype)
    known = DistinctRows.of(features)
    assert isinstance(known.rows, Compressed) == (filled < distinct_rows.MOST_FILLED)
    distinct = len(features.unique(dim=0))
    assert int(known.row.max()) + 1 == distinct
    weights = torch.randn(30, 4, dtype=dtype)
    torch.testing.assert_close(known.products(weights)[known.row], features @ weights)
    offset = torch.randn(50, dtype=dtype) * 5
    logits = known.log_sums(offset)[:, None] + known.products(weights)
    everything = offset[:, None] + features @ weights
    torch.testing.assert_close(logits.logsumexp(0), everything.logsumexp(0))
    chance = torch.softmax(logits, 0)
    torch.testing.assert_close(
        known.summed(chance), features.T @ torch.softmax(everything, 0), atol=1e-5, rtol=1e-5
    )


def test_rows_that_are_marked_alike_and_differ_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    features = table(0.9)
    monkeypatch.setattr(Tensor, "sum", lambda self, *_: self.new_zeros(len(self)))
    known = DistinctRows.of(features)
    monkeypatch.undo()
    assert torch.equal(known.row, torch.arange(50))
    weights = torch.randn(30, 4)
    torch.testing.assert_close(known.products(weights), features @ weights)
