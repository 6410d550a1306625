"""Matrices as products of thin ones: the best there are, and sums as if written out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ufgraphfr.core.arrays.low_rank import LowRank, Matrix
from ufgraphfr.core.arrays.quantised import Quantised

MATRICES: tuple[Matrix, ...] = ((3, 12, 6), (75, 5, 9), (120, 2, 2))
SIZE = 130


def values(clients: int, seed: int = 0) -> Tensor:
    return torch.randn(clients, SIZE, generator=torch.Generator().manual_seed(seed))


def within(flat: Tensor, matrix: Matrix) -> Tensor:
    start, rows, columns = matrix
    return flat[:, start : start + rows * columns].unflatten(1, (rows, columns))


@given(rank=st.integers(1, 6), seed=st.integers(0, 99))
def test_no_product_of_that_rank_is_nearer(rank: int, seed: int) -> None:
    exact = values(3, seed)
    thin = LowRank.of(exact, MATRICES, rank)
    dense = thin.dense()
    outside = torch.ones(SIZE, dtype=torch.bool)
    for matrix in thin.matrices:
        outside[matrix[0] : matrix[0] + matrix[1] * matrix[2]] = False
        left_out = torch.linalg.svdvals(within(exact, matrix))[:, rank:].square().sum(1).sqrt()
        distance = (within(dense - exact, matrix)).flatten(1).norm(dim=1)
        torch.testing.assert_close(distance, left_out, atol=1e-5, rtol=1e-4)
        assert bool((torch.linalg.matrix_rank(within(dense, matrix), rtol=1e-5) <= rank).all())
    assert torch.equal(dense[:, outside], exact[:, outside])


@pytest.mark.parametrize(("rank", "kept"), [(1, (0, 1)), (2, (0, 1)), (4, ()), (9, ())])
def test_what_would_not_be_smaller_stays_as_it_is(rank: int, kept: tuple[int, ...]) -> None:
    exact = values(2)
    thin = LowRank.of(exact, MATRICES, rank)
    assert thin.matrices == tuple(MATRICES[place] for place in kept)
    if not kept:
        assert torch.equal(thin.dense(), exact)


def coarse(thin: LowRank) -> LowRank:
    numbers = thin.numbers.dense()
    return LowRank(Quantised.of(numbers, 8, torch.full_like(numbers, 0.5)), *thin.layout)


@pytest.mark.parametrize("rounded", [False, True])
def test_sums_parts_and_joins_are_those_of_the_numbers(rounded: bool) -> None:
    thin = LowRank.of(values(5), MATRICES, 2)
    thin = coarse(thin) if rounded else thin
    dense = thin.dense()
    torch.testing.assert_close(thin.total(), dense.sum(0), atol=1e-5, rtol=1e-5)
    places = torch.tensor([3, 0])
    assert torch.equal(thin.select(places).dense(), dense[places])
    halves = [thin.select(torch.tensor([0, 1])), thin.select(torch.tensor([2, 3, 4]))]
    joined = LowRank.cat(halves, [torch.tensor([1, 3]), torch.tensor([0, 2, 4])])
    assert torch.equal(joined.dense(), dense[[2, 0, 3, 1, 4]])
