"""Sparse arrays against the dense ones that they stand for."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ufgraphfr.core.arrays.cells import Cells, as_array, as_row
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
    parts = [Cells(dense[place].to_sparse()) for place in places.split(2)]
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


@given(st.lists(st.booleans(), min_size=1, max_size=6), st.integers(0, 2**31))
def test_sums_are_those_of_dense_arrays_whoever_holds_them_how(
    forms: list[bool], seed: int
) -> None:
    reports, expected = replies(forms, seed)
    total = combine(reports)
    assert total.arrays["n"].spec == Dense(expected[None]).spec
    assert isinstance(total.arrays["n"], Cells) == all(forms)
    assert torch.equal(total.arrays["n"].dense()[0], expected)


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
