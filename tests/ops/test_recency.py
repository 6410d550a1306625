"""Recency weights and propagation against loops."""

import pytest
import torch

from ufgraphfr.ops.recency import propagate, recency

HISTORIES = [[3, 1, 2], [], [0], [2, 3]]
PTR = torch.tensor([0, 3, 3, 4, 6])
ITEMS = torch.tensor([3, 1, 2, 0, 2, 3])


def test_the_last_item_weighs_one_and_older_ones_decay() -> None:
    weights = recency(PTR, 0.5)
    assert weights.tolist() == [0.25, 0.5, 1.0, 1.0, 0.5, 1.0]


def test_no_decay_forgets_nothing() -> None:
    assert recency(PTR, 1.0).tolist() == [1.0] * 6


@pytest.mark.parametrize("contiguous", [True, False])
def test_propagate_sums_weighted_rows(contiguous: bool) -> None:
    operator = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    if not contiguous:
        operator = operator.T.contiguous().T
    result = propagate(PTR, ITEMS, recency(PTR, 0.5), operator)
    expected = torch.stack(
        [
            sum(
                (0.5 ** (len(own) - 1 - place) * operator[item] for place, item in enumerate(own)),
                start=torch.zeros(5),
            )
            for own in HISTORIES
        ]
    )
    torch.testing.assert_close(result, expected)


def test_propagate_without_any_history_is_zero() -> None:
    ptr = torch.zeros(4, dtype=torch.int64)
    result = propagate(ptr, ITEMS[:0], recency(ptr, 0.9), torch.ones(4, 5))
    assert torch.equal(result, torch.zeros(3, 5))
