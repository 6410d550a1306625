"""Sparse rows against dense tables."""

from random import Random

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import Rows, ranges


@st.composite
def tables(draw: st.DrawFn, height: int | None = None, dim: int | None = None) -> Tensor:
    """Dense tables ``[clients, height, dim]`` of small whole numbers, most rows zero."""
    clients = draw(st.integers(1, 5))
    height = height or draw(st.integers(1, 6))
    dim = dim or draw(st.integers(1, 3))
    seed = draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-3, 4, (clients, height, dim), generator=generator).float()
    return values * (torch.rand(clients, height, 1, generator=generator) < 0.4)


@given(tables())
def test_dense_undoes_of(dense: Tensor) -> None:
    rows = Rows.of(dense)
    assert torch.equal(rows.dense(), dense)
    assert rows.clients == len(dense)
    assert rows.height == dense.shape[1]
    assert len(rows.index) == int((dense != 0).any(2).sum())
    assert torch.equal(rows.owner, (dense != 0).any(2).nonzero()[:, 0])


@given(tables(), st.data())
def test_select_picks_clients_in_the_order_asked(dense: Tensor, data: st.DataObject) -> None:
    places = torch.tensor(
        data.draw(st.lists(st.integers(0, len(dense) - 1), max_size=7)), dtype=torch.int64
    )
    assert torch.equal(Rows.of(dense).select(places).dense(), dense[places])


@given(tables())
def test_total_sums_over_clients(dense: Tensor) -> None:
    assert torch.equal(Rows.of(dense).total(), dense.sum(0))


@given(st.lists(tables(height=4, dim=2), min_size=1, max_size=4), st.randoms())
def test_cat_puts_clients_in_their_places(parts: list[Tensor], random: Random) -> None:
    whole = torch.cat(parts)
    order = torch.tensor(random.sample(range(len(whole)), len(whole)), dtype=torch.int64)
    given = [Rows.of(part) for part in parts]
    joined = Rows.cat(given, order.split([len(part) for part in parts]))
    assert torch.equal(joined.dense()[order], whole)
    assert given == []


def test_a_table_of_zeros_holds_no_row() -> None:
    rows = Rows.of(torch.zeros(2, 3, 4))
    assert rows.values.shape == (0, 4)
    assert torch.equal(rows.dense(), torch.zeros(2, 3, 4))
    assert torch.equal(rows.total(), torch.zeros(3, 4))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=6))
def test_ranges_are_concatenated(pairs: list[tuple[int, int]]) -> None:
    starts, lengths = (torch.tensor([p[i] for p in pairs], dtype=torch.int64) for i in (0, 1))
    expected = [start + step for start, length in pairs for step in range(length)]
    assert ranges(starts, lengths).tolist() == expected


@given(tables(), st.data())
def test_spread_gives_rows_to_named_clients_among_more(dense: Tensor, data: st.DataObject) -> None:
    total = data.draw(st.integers(len(dense), len(dense) + 4))
    named = sorted(data.draw(st.permutations(range(total)))[: len(dense)])
    expected = torch.zeros(total, *dense.shape[1:])
    expected[named] = dense
    assert torch.equal(Rows.of(dense).spread(torch.tensor(named), total).dense(), expected)
