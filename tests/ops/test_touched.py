"""Touched rows against Python sets."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ufgraphfr.ops.touched import touched

HEIGHT = 6


@pytest.mark.parametrize("large", [0, 100], ids=["sorted", "table"])
@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(
            st.lists(st.integers(-1, HEIGHT - 1), min_size=width, max_size=width), min_size=1
        )
    )
)
def test_touched_rows_are_the_distinct_items_of_each_client(
    large: int, items: list[list[int]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ufgraphfr.ops.touched.LARGE", large)
        rows = touched(torch.tensor(items), HEIGHT)
    assert (rows.row_of is None) == (large == 0)
    expected = [sorted({item for item in own if item >= 0}) for own in items]
    assert rows.ptr.tolist() == [sum(map(len, expected[:c])) for c in range(len(items) + 1)]
    assert rows.index.tolist() == [item for own in expected for item in own]

    places = rows.rows(torch.tensor(items))
    for client, own in enumerate(items):
        for item, place in zip(own, places[client].tolist(), strict=True):
            if item >= 0:
                assert rows.index[place] == item
                assert rows.ptr[client] <= place < rows.ptr[client + 1]
            else:
                # padding is read, and then weighs nothing: any row that exists will do
                assert 0 <= place < max(1, len(rows.index))
