"""Neighbor lists against dense matrices made row by row."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ufgraphfr.algorithms.ufgraphfr.neighbors import Neighbors, above, as_sparse, hop, join, top

# ties are left out: which of them are kept is not promised
ENTRY = st.one_of(st.sampled_from([math.nan, -math.inf]), st.floats(-1, 1, width=32))


@st.composite
def relations(draw: st.DrawFn) -> Tensor:
    """Matrices ``[m, n]`` of distinct entries, NaN and -inf."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    row = st.lists(
        ENTRY,
        min_size=columns,
        max_size=columns,
        unique_by=lambda value: value if math.isfinite(value) else object(),
    )
    return torch.tensor(draw(st.lists(row, min_size=rows, max_size=rows)))


def matrix(lists: Neighbors, nodes: int) -> Tensor:
    """The lists, entry by entry."""
    dense = torch.zeros(len(lists.index), nodes)
    for row, (index, weight) in enumerate(zip(lists.index, lists.weight, strict=True)):
        for column, share in zip(index.tolist(), weight.tolist(), strict=True):
            dense[row, column] += share
    return dense


def uniform(chosen: list[list[int]], nodes: int) -> Tensor:
    dense = torch.zeros(len(chosen), nodes)
    for row, columns in enumerate(chosen):
        for column in columns:
            dense[row, column] = 1 / len(columns)
    return dense


@given(relation=relations(), count=st.integers(1, 6))
def test_top_keeps_the_largest_entries(relation: Tensor, count: int) -> None:
    chosen = []
    for row in relation.tolist():
        able = [column for column, value in enumerate(row) if value > -math.inf]
        chosen.append(sorted(able, key=lambda column, row=row: -row[column])[:count])
    lists = top(relation, count)
    torch.testing.assert_close(matrix(lists, relation.shape[1]), uniform(chosen, relation.shape[1]))


@given(relation=relations(), threshold=st.floats(-1, 1, width=32))
def test_above_keeps_what_lies_above(relation: Tensor, threshold: float) -> None:
    chosen = [
        [column for column, value in enumerate(row) if value > threshold]
        for row in relation.tolist()
    ]
    lists = above(relation, threshold)
    torch.testing.assert_close(matrix(lists, relation.shape[1]), uniform(chosen, relation.shape[1]))


@pytest.mark.parametrize("excluded", [math.nan, -math.inf])
def test_what_cannot_be_compared_is_nobodys_neighbor(excluded: float) -> None:
    relation = torch.tensor([[excluded, 0.5, excluded], [excluded] * 3])
    for lists in (top(relation, 2), above(relation, -5.0)):
        assert matrix(lists, 3).tolist() == [[0, 1, 0], [0, 0, 0]]


def random_lists(rows: int, nodes: int, width: int, generator: torch.Generator) -> Neighbors:
    relation = torch.randn(rows, nodes, generator=generator)
    relation[torch.rand(rows, nodes, generator=generator) < 0.4] = -torch.inf
    return top(relation, width)


@given(
    rows=st.integers(1, 5),
    nodes=st.integers(1, 5),
    hops=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
def test_hops_are_powers_of_the_matrix(rows: int, nodes: int, hops: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    first = random_lists(rows, nodes, 3, generator)
    graph = random_lists(nodes, nodes, 2, generator)
    expected = matrix(first, nodes)
    for _ in range(hops - 1):
        expected = expected @ matrix(graph, nodes)
    torch.testing.assert_close(matrix(hop(first, graph, hops), nodes), expected)


@given(nodes=st.integers(1, 6), hops=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_rows_still_sum_to_one_after_hops(nodes: int, hops: int, seed: int) -> None:
    relation = torch.randn(nodes, nodes, generator=torch.Generator().manual_seed(seed))
    graph = top(relation, 2)
    sums = hop(graph, graph, hops).weight.sum(1)
    torch.testing.assert_close(sums, torch.ones(nodes))


def test_the_sparse_matrix_is_that_of_the_lists() -> None:
    # a padded entry (weight 0) and a node listed twice
    lists = Neighbors(torch.tensor([[1, 0], [2, 2]]), torch.tensor([[1.0, 0.0], [0.5, 0.25]]))
    assert as_sparse(lists, 3).to_dense().tolist() == [[0, 1, 0], [0, 0, 0.75]]


def test_lists_of_unlike_widths_are_joined() -> None:
    parts = [
        Neighbors(torch.tensor([[1, 2]]), torch.tensor([[0.5, 0.5]])),
        Neighbors(torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, 0)),
        Neighbors(torch.tensor([[0]]), torch.tensor([[1.0]])),
    ]
    joined = join(parts)
    assert matrix(joined, 3).tolist() == [[0, 0.5, 0.5], [0, 0, 0], [0, 0, 0], [1, 0, 0]]
