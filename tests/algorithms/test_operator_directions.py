"""Directions of a large operator, by a growing basis, against those of the whole matrix."""

import pytest
import torch

from ufgraphfr.algorithms.item_operator import directions as module
from ufgraphfr.algorithms.item_operator.directions import directions
from ufgraphfr.algorithms.item_operator.operator import COUNTS, INDEX, PTR, VALUE
from ufgraphfr.core.messages import State

ITEMS, COUNT = 300, 12


def an_operator() -> State:
    """A symmetric matrix with eigenvalues of 1 downwards, some of them close to each other."""
    draw = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(ITEMS, ITEMS, generator=draw, dtype=torch.float64))[0]
    values = 0.9 ** torch.arange(ITEMS, dtype=torch.float64)
    dense = ((basis * values) @ basis.T).float()
    dense = (dense + dense.T) / 2
    return {
        COUNTS: torch.ones(ITEMS),
        PTR: torch.arange(ITEMS + 1) * ITEMS,
        INDEX: torch.arange(ITEMS, dtype=torch.int32).repeat(ITEMS),
        VALUE: dense.flatten(),
    }


@pytest.fixture
def grown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WHOLE", 0)
    monkeypatch.setattr(module, "_BLOCK", 8)


@pytest.mark.usefixtures("grown")
def test_a_growing_basis_finds_what_the_whole_matrix_has() -> None:
    state = an_operator()
    vectors, value = directions(state, COUNT)
    exact = torch.linalg.eigh(state[VALUE].view(ITEMS, ITEMS).double())
    torch.testing.assert_close(value.double(), exact.eigenvalues.flip(0)[:COUNT], atol=2e-5, rtol=0)
    best = exact.eigenvectors.flip(1)[:, :COUNT]
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(COUNT), atol=1e-5, rtol=0)
    # the space that they span, whatever their signs
    assert float((best.T @ vectors.double()).square().sum()) == pytest.approx(COUNT, abs=1e-3)


@pytest.mark.usefixtures("grown")
def test_it_ends_where_directions_are_close_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    widths, product = [], module.applied

    def counted(state: State, vectors: torch.Tensor) -> torch.Tensor:
        widths.append(vectors.shape[1])
        return product(state, vectors)

    monkeypatch.setattr(module, "applied", counted)
    directions(an_operator(), COUNT)
    assert set(widths) == {8}
    assert 2 * COUNT <= sum(widths) < 8 * COUNT
    widths.clear()
    monkeypatch.setattr(module, "_CLOSE", 0.0)
    directions(an_operator(), COUNT)
    assert sum(widths) == 8 * COUNT


@pytest.mark.usefixtures("grown")
def test_directions_are_the_same_in_every_run() -> None:
    one, other = (directions(an_operator(), COUNT)[0] for _ in range(2))
    assert torch.equal(one, other)


def test_a_small_catalogue_is_decomposed_whole() -> None:
    vectors, value = directions(an_operator(), ITEMS + 5)
    assert vectors.shape == (ITEMS, ITEMS)
    assert float(value[0]) == pytest.approx(1, abs=1e-5)
