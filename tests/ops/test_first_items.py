"""Counts at first positions and in windows of them, against plain loops."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from ufgraphfr.ops.first_items import first_item_counts, window_sums

HISTORIES = st.lists(st.lists(st.integers(0, 6), max_size=9), min_size=1, max_size=8)


@given(histories=HISTORIES, positions=st.integers(1, 8), width=st.integers(1, 3))
def test_everybody_counts_once_at_each_position(
    histories: list[list[int]], positions: int, width: int
) -> None:
    ptr = torch.tensor([0, *map(len, histories)]).cumsum(0)
    items = torch.tensor([item for own in histories for item in own], dtype=torch.int64)
    counts = first_item_counts(ptr, items, 7, positions)
    expected = torch.zeros(positions, 7, dtype=torch.int64)
    for own in histories:
        for position, item in enumerate(own[:positions]):
            expected[position, item] += 1
    assert torch.equal(counts, expected)
    width = min(width, positions)
    found = window_sums(counts, width)
    for first in range(positions - width + 1):
        assert torch.equal(found[first], expected[first : first + width].sum(0).float())
    assert len(found) == positions - width + 1
