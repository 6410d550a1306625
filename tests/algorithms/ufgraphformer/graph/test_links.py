"""Sparse links against the dense operator."""

import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.graph import links
from ufgraphfr.ops.item_graph import cooccurrence, normalised
from ufgraphfr.ops.recency import propagate, recency

ITEMS, SHRINK = 40, 2.0
WEIGHTS = torch.tensor([3.0, 2.0, 1.0])


def histories(clients: int = 30) -> tuple[Tensor, Tensor]:
    """Items near each other in number are near each other in time, noisily."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randint(0, ITEMS - 6, (clients, 1), generator=generator)
    order = torch.rand(clients, 6, generator=generator).argsort(1)
    return torch.arange(clients + 1) * 6, (start + order).flatten()


def dense() -> tuple[Tensor, Tensor]:
    ptr, items = histories()
    total = torch.bincount(items, minlength=ITEMS).float()
    return normalised(cooccurrence(ptr, items, ITEMS, WEIGHTS), total, SHRINK), total


def sparse(width: int, kept: int) -> tuple[Tensor, Tensor]:
    bucket = links.buckets(ITEMS, width)
    sketch = cooccurrence(*histories(), ITEMS, WEIGHTS, None, bucket)
    return links.strongest(sketch, bucket, dense()[1], SHRINK, kept)


def written_out(index: Tensor, value: Tensor) -> Tensor:
    return torch.zeros(ITEMS, ITEMS).scatter_(1, index.long(), value)


def test_with_a_bucket_for_each_item_and_all_links_it_is_the_dense_operator() -> None:
    torch.testing.assert_close(written_out(*sparse(ITEMS, ITEMS)), dense()[0])


def test_the_strongest_links_are_kept() -> None:
    index, value = sparse(ITEMS, 5)
    assert (index.diff(dim=1) > 0).all()
    best = dense()[0].topk(5).values
    torch.testing.assert_close(value.sort(1, descending=True).values, best)


def test_a_row_of_the_sketch_sums_the_row_by_bucket() -> None:
    bucket = links.buckets(ITEMS, 8)
    assert torch.bincount(bucket).tolist() == [5] * 8
    whole = cooccurrence(*histories(), ITEMS, WEIGHTS)
    expected = torch.zeros(ITEMS, 8).index_add_(1, bucket, whole)
    rows = range(10, 25)
    torch.testing.assert_close(
        cooccurrence(*histories(), ITEMS, WEIGHTS, rows, bucket), expected[10:25]
    )


def test_fewer_buckets_than_items_find_most_of_the_links() -> None:
    found, true = written_out(*sparse(20, 5)), dense()[0]
    strong = (true >= true.topk(3).values[:, -1:]) & (true > 0)
    assert ((found > 0) & strong).sum() > 0.95 * strong.sum()


def test_the_symmetric_matrix() -> None:
    index, value = sparse(ITEMS, 4)
    full = written_out(index, value)
    diagonal = torch.arange(1.0, ITEMS + 1)
    matrix = links.matrix(index, value, diagonal).to_dense()
    torch.testing.assert_close(matrix, (full + full.T) / 2 + torch.diag(diagonal))


def test_propagation_is_that_of_the_dense_operator() -> None:
    index, value = sparse(ITEMS, 4)
    full = written_out(index, value)
    ptr, items = histories()
    weights = recency(ptr, 0.8)
    torch.testing.assert_close(
        links.propagate_links(ptr, items, weights, index, value),
        propagate(ptr, items, weights, full),
    )
