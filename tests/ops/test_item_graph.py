"""Co-interactions and co-occurrence against loops over clients."""

import pytest
import torch
from torch import Tensor

from ufgraphfr.ops import item_graph
from ufgraphfr.ops.item_graph import co_interactions, spectral, successions

CATALOGUE = 9
WEIGHTS = torch.tensor([7.0, 5.0, 2.0])


@pytest.fixture
def histories() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    lengths = [3, 0, 1, 9, 5, 2, 0]
    return [torch.randperm(CATALOGUE, generator=generator)[:n].tolist() for n in lengths]


def csr(histories: list[list[int]]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([0, *map(len, histories)])
    items = torch.tensor([item for own in histories for item in own], dtype=torch.int64)
    return lengths.cumsum(0), items


@pytest.mark.parametrize("chunk", [1, 3, 1024])
def test_co_interactions(
    histories: list[list[int]], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_graph, "_CHUNK", chunk)
    expected = torch.zeros(CATALOGUE, CATALOGUE)
    for own in histories:
        for a in own:
            for b in own:
                expected[a, b] += 1
    assert torch.equal(co_interactions(*csr(histories), CATALOGUE), expected)


def test_both_are_sums_over_clients(histories: list[list[int]]) -> None:
    alone = [csr([own]) for own in histories]
    together = csr(histories)
    gram = sum((co_interactions(*one, CATALOGUE) for one in alone), start=torch.zeros(()))
    near = sum((successions(*one, CATALOGUE, WEIGHTS) for one in alone), start=torch.zeros(()))
    torch.testing.assert_close(co_interactions(*together, CATALOGUE), gram)
    torch.testing.assert_close(successions(*together, CATALOGUE, WEIGHTS), near)


def slow_successions(histories: list[list[int]]) -> Tensor:
    counts = torch.zeros(CATALOGUE, CATALOGUE)
    for own in histories:
        for i, one in enumerate(own):
            for j, other in enumerate(own):
                if 0 < j - i <= len(WEIGHTS):
                    counts[one, other] += WEIGHTS[j - i - 1]
    return counts


def test_successions(histories: list[list[int]]) -> None:
    assert torch.equal(
        successions(*csr(histories), CATALOGUE, WEIGHTS), slow_successions(histories)
    )


def test_blocks_of_rows_are_the_matrix(histories: list[list[int]]) -> None:
    own = csr(histories)
    blocks = [range(0, 4), range(4, 4), range(4, CATALOGUE)]
    pairs = torch.cat([co_interactions(*own, CATALOGUE, rows) for rows in blocks])
    near = torch.cat([successions(*own, CATALOGUE, WEIGHTS, rows) for rows in blocks])
    assert torch.equal(pairs, co_interactions(*own, CATALOGUE))
    assert torch.equal(near, successions(*own, CATALOGUE, WEIGHTS))
    some = range(1, CATALOGUE, 3)
    assert torch.equal(co_interactions(*own, CATALOGUE, some), pairs[1::3])
    assert torch.equal(successions(*own, CATALOGUE, WEIGHTS, some), near[1::3])


def test_pairs_count_as_much_as_their_client(histories: list[list[int]]) -> None:
    weights = torch.arange(1, len(histories) + 1)
    often = [
        own for own, count in zip(histories, weights.tolist(), strict=True) for _ in range(count)
    ]
    weighted = co_interactions(*csr(histories), CATALOGUE, weights=weights)
    assert torch.equal(weighted, co_interactions(*csr(often), CATALOGUE))


def test_spectral_keeps_the_largest_positive_eigenvalues() -> None:
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(60, 60, generator=generator)).Q
    values = torch.cat((torch.tensor([9.0, 7.0, 5.0, -8.0]), torch.linspace(-1, 1, 56)))
    vectors = spectral(basis @ torch.diag(values) @ basis.T, 3, generator)
    best = basis[:, :3] @ torch.diag(values[:3]) @ basis[:, :3].T
    torch.testing.assert_close(vectors @ vectors.T, best, atol=1e-3, rtol=1e-3)
    lengths = vectors.norm(dim=0)
    assert lengths.max() < 2 * lengths.min(), "no coordinate holds one eigenvector alone"


def test_spectral_of_no_graph_is_zero() -> None:
    vectors = spectral(torch.zeros(9, 9), 4, torch.Generator().manual_seed(0))
    assert torch.equal(vectors, torch.zeros(9, 4))
