"""Sparse arrays against the dense ones that they stand for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ufgraphfr.core.arrays import cells
from ufgraphfr.core.arrays.cells import Cells, added, as_array, as_row
from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.messages import Aggregation, Report, combine, one_row
from ufgraphfr.federation.codec import decode_report, encode_report


def some(seed: int, clients: int = 3, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Dense arrays of small whole numbers, most of them zero."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-8, 4, (clients, 29), generator=generator).clamp(min=0).to(dtype)


@given(st.integers(0, 2**31), st.permutations(range(3)))
def test_they_say_what_dense_arrays_say(seed: int, order: list[int]) -> None:
    dense, places = some(seed), torch.tensor(order)
    cells = as_array(dense.to_sparse())
    assert isinstance(cells, Cells)
    assert torch.equal(cells.dense(), dense)
    assert cells.spec == Dense(dense).spec
    assert (cells.clients, cells.fault(), cells.is_finite()) == (3, None, True)
    assert torch.equal(cells.owner, dense.nonzero()[:, 0])
    assert torch.equal(cells.select(places).dense(), dense[places])
    assert torch.equal(cells.total().to_dense(), dense.sum(0))
    assert torch.equal(cells.with_values(cells.values * 2).dense(), dense * 2)
    parts = [Cells.of(dense[place].to_sparse()) for place in places.split(2)]
    assert torch.equal(Cells.cat(parts, list(places.split(2))).dense(), dense)


def replies(forms: list[bool], seed: int) -> tuple[list[Report], Tensor]:
    """Sums of a client each, some sparse, and the sum of all, in bytes that are too few for it."""
    dense = some(seed, len(forms)) * 60
    who = torch.arange(len(forms))
    rows = zip(who.split(1), dense, forms, strict=True)
    found = [
        Report(1, one, one_row({"n": row.to_sparse() if s else row}), Aggregation.SUM, one * 0.0)
        for one, row, s in rows
    ]
    return found, dense.long().sum(0)


@given(
    st.lists(st.booleans(), min_size=1, max_size=6),
    st.integers(0, 2**31),
    st.sampled_from([1, 5, 1000]),
)
def test_sums_are_those_of_dense_arrays_whoever_holds_them_how(
    forms: list[bool], seed: int, at_once: int
) -> None:
    reports, expected = replies(forms, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "AT_ONCE", at_once)
        total = combine(reports)
    assert total.arrays["n"].spec == Dense(expected[None]).spec
    assert isinstance(total.arrays["n"], Cells) == all(forms)
    assert torch.equal(total.arrays["n"].dense()[0], expected)


@pytest.mark.parametrize(
    ("one", "other", "dtype"),
    [
        ([250, 0, 1], [0, 0, 5], torch.uint8),
        ([250, 0, 1], [250, 7, 0], torch.int16),
        ([0, 0, 40_000], [1, 2, 3], torch.int32),
        ([2**31, 0, 0], [2**31, 0, 1], torch.int64),
        ([0, -5, 3], [0, 0, 300], torch.int16),
        ([5, 6, 0], [-3, 0, 0], torch.int16),
        ([0.5, 0, 0], [0, 0.25, 0], torch.float32),
    ],
)
def test_sums_take_no_more_bytes_than_they_need(
    one: list[float], other: list[float], dtype: torch.dtype
) -> None:
    first, second = (as_row(torch.tensor(each).to_sparse()) for each in (one, other))
    total = added(first, second)
    assert (total.values.dtype, total.index.dtype) == (dtype, torch.int32)
    assert total.dense()[0].tolist() == [a + b for a, b in zip(one, other, strict=True)]
    # and say nothing of them where they travel
    assert total.spec.dtype in (torch.int64, torch.float32)
    assert total.dense().dtype == total.spec.dtype


def test_places_of_an_array_too_long_for_four_bytes_take_eight() -> None:
    places = torch.tensor([[5, 2**31 + 1]])
    long = torch.sparse_coo_tensor(places, torch.tensor([1, 2]), (2**32,), check_invariants=False)
    long = long.coalesce()
    total = added(as_row(long), as_row(long))
    assert total.index.tolist() == [5, 2**31 + 1]
    assert total.values.tolist() == [2, 4]
    assert torch.equal(total.total().indices(), places)


def test_they_travel_as_dense_arrays_do() -> None:
    """Nothing of where an array is not zero is to be seen in the size of a message."""
    sizes = set()
    for row in (some(1)[0], torch.zeros(29, dtype=torch.uint8)):
        sent = [
            Report(1, torch.zeros(1).long(), {"n": as_row(form)}, Aggregation.SUM, torch.zeros(1))
            for form in (row, row.to_sparse())
        ]
        one, other = (encode_report(report, {"n": 3}) for report in sent)
        assert one == other
        assert torch.equal(decode_report(other).arrays["n"].dense()[0], row.int())
        sizes.add(len(one))
    assert len(sizes) == 1
