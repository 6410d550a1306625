"""Sparse links against the dense operator."""

import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.graph import links
from ufgraphfr.ops.item_graph import normalised, successions
from ufgraphfr.ops.recency import propagate, recency

ITEMS, SHRINK = 40, 2.0
WEIGHTS = torch.tensor([3.0, 2.0, 1.0])


def histories(clients: int = 30) -> tuple[Tensor, Tensor]:
    """Items near each other in number are near each other in time, noisily."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randint(0, ITEMS - 6, (clients, 1), generator=generator)
    order = torch.rand(clients, 6, generator=generator).argsort(1)
    return torch.arange(clients + 1) * 6, (start + order).flatten()


def dense() -> Tensor:
    ptr, items = histories()
    total = torch.bincount(items, minlength=ITEMS).float()
    after = successions(ptr, items, ITEMS, WEIGHTS)
    return normalised(after + after.T, total, SHRINK)


def sparse(kept: int) -> tuple[Tensor, Tensor]:
    rows, columns = dense().nonzero(as_tuple=True)
    return links.strongest(rows, columns, dense()[rows, columns], (ITEMS, kept))


def written_out(index: Tensor, value: Tensor) -> Tensor:
    return torch.zeros(ITEMS, ITEMS).scatter_add_(1, index.long(), value)


def test_with_room_for_all_links_it_is_the_dense_operator() -> None:
    torch.testing.assert_close(written_out(*sparse(ITEMS)), dense())


def test_the_strongest_links_are_kept() -> None:
    _, value = sparse(5)
    torch.testing.assert_close(value, dense().topk(5).values)


def test_propagation_is_that_of_the_dense_operator() -> None:
    index, value = sparse(4)
    full = written_out(index, value)
    ptr, items = histories()
    weights = recency(ptr, 0.8)
    torch.testing.assert_close(
        links.propagate_links(ptr, items, weights, index, value),
        propagate(ptr, items, weights, full),
    )
