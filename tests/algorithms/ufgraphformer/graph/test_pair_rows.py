"""Rows of pairs do what the dense matrix does, however few are written out at a time."""

import pytest
import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.graph.pair_rows import Mirrored, PairRows, strongest
from ufgraphfr.ops import link_rows
from ufgraphfr.ops.item_graph import smoothest

ITEMS = 50


@pytest.fixture(params=[1, 40, 10**6], autouse=True)
def at_once(request, monkeypatch) -> None:
    monkeypatch.setattr(link_rows, "AT_ONCE", request.param)


def dense() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    full = torch.randint(1, 9, (ITEMS, ITEMS), generator=generator).float()
    full = full * (torch.rand(ITEMS, ITEMS, generator=generator) < 0.2)
    # an item without pairs, and one with itself alone
    full[7], full[:, 7], full[9], full[:, 9] = 0, 0, 0, 0
    full[9, 9] = 5
    return full


def rows_of(full: Tensor) -> PairRows:
    # the rows come in an order of their own
    order = torch.cat((torch.arange(ITEMS)[1::2], torch.arange(ITEMS)[::2]))
    row, column = full[order].nonzero().T
    value, some = full[order][row, column], row < 20
    # in two lists
    lists = [
        (order[:20], column[some].int(), value[some]),
        (order[20:], column[~some].int(), value[~some]),
    ]
    return PairRows.of(lists, (full > 0).sum(1))


def written_out(pairs: PairRows | Mirrored) -> Tensor:
    return torch.stack([pairs @ column[:, None] for column in torch.eye(ITEMS)], 1)[..., 0]


def test_they_multiply_as_the_dense_matrix() -> None:
    assert torch.equal(written_out(rows_of(dense())), dense())


def test_the_mirrored_matrix_has_the_diagonal_once() -> None:
    upper = dense().triu()
    both = Mirrored.of(rows_of(upper))
    expected = upper + upper.T - upper.diagonal().diag()
    assert torch.equal(written_out(both), expected)
    assert torch.equal(both.__rmatmul__(torch.eye(ITEMS)), expected)


def test_what_is_in_both_halves_is_added_up_where_rows_are_made() -> None:
    full = dense()
    expected = full + full.T - full.diagonal().diag()
    found = torch.zeros(ITEMS, ITEMS)
    for some, rows, columns, value in Mirrored.of(rows_of(full)).some():
        assert bool((rows * ITEMS + columns).diff().gt(0).all()), "not from left to right"
        assert bool(((rows >= some.start) & (rows < some.stop)).all())
        found[rows, columns] = value
    assert torch.equal(found, expected)


def test_links_and_their_transpose_are_halved_with_a_diagonal() -> None:
    full = dense().fill_diagonal_(0)
    value, index = full.topk(4)
    kept = torch.zeros_like(full).scatter_(1, index, value)
    diagonal = torch.arange(float(ITEMS))
    found = Mirrored.of_links(index.int(), value, diagonal)
    assert torch.equal(written_out(found), (kept + kept.T) / 2 + diagonal.diag())


def test_weights_know_row_and_column() -> None:
    pairs = rows_of(dense()).weighted(lambda rows, columns, value: value * rows + columns)
    there = dense() > 0
    places = torch.arange(ITEMS)
    assert torch.equal(written_out(pairs), (dense() * places[:, None] + places) * there)


def test_the_strongest_links_are_no_items_with_themselves() -> None:
    full = dense()
    index, value = strongest(rows_of(full), lambda _, __, own: own, 4)
    full.fill_diagonal_(0)
    assert torch.equal(value, full.topk(4).values)
    assert torch.equal(full.gather(1, index.long()) * (value > 0), value)


def test_directions_are_those_of_the_dense_matrix() -> None:
    upper = dense().triu()
    found = smoothest(Mirrored.of(rows_of(upper)), 5)
    expected = smoothest(upper + upper.triu(1).T, 5)
    torch.testing.assert_close(found @ found.T, expected @ expected.T, atol=1e-4, rtol=0)
