"""Counts at first places and in windows of them, against plain loops."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from ufgraphfr.ops.beginnings import beginnings, windows

HISTORIES = st.lists(st.lists(st.integers(0, 6), max_size=9), min_size=1, max_size=8)


@given(histories=HISTORIES, places=st.integers(1, 8), width=st.integers(1, 3))
def test_everybody_counts_once_at_each_place(
    histories: list[list[int]], places: int, width: int
) -> None:
    ptr = torch.tensor([0, *map(len, histories)]).cumsum(0)
    items = torch.tensor([item for own in histories for item in own], dtype=torch.int64)
    counts = beginnings(ptr, items, 7, places)
    expected = torch.zeros(places, 7, dtype=torch.int64)
    for own in histories:
        for place, item in enumerate(own[:places]):
            expected[place, item] += 1
    assert torch.equal(counts, expected)
    width = min(width, places)
    found = windows(counts, width)
    for first in range(places - width + 1):
        assert torch.equal(found[first], expected[first : first + width].sum(0).float())
    assert len(found) == places - width + 1
