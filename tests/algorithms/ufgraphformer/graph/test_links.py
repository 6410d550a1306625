"""Sparse links against the dense operator."""

import pytest
import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.graph import links
from ufgraphfr.ops import fusion
from ufgraphfr.ops.fusion import Reached, Squash, squashed
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
    expected = propagate(ptr, items, weights, full)
    torch.testing.assert_close(Reached(ptr, items, weights, index, value).dense(), expected)


@pytest.mark.parametrize("squash", ["log", "root"])
@pytest.mark.parametrize("at_once", [1, 7 * ITEMS, 2**20])
@pytest.mark.parametrize("kept", [2, ITEMS])
def test_what_is_reached_is_squashed_as_if_it_were_dense(
    kept: int, at_once: int, squash: Squash, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion, "_AT_ONCE", at_once)
    index, value = sparse(kept)
    ptr, items = histories()
    # the first and the last have nothing, and some have one item
    counts = torch.tensor([0, *range(1, 7), 1, *[6] * 21, 0])
    ptr = torch.cat((torch.zeros(1, dtype=torch.int64), counts.cumsum(0)))
    items = items[: int(ptr[-1])]
    reached = Reached(ptr, items, recency(ptr, 0.8), index, value)
    found = squashed([lambda: reached, reached.dense()], squash=squash)
    torch.testing.assert_close(found[0], found[1])
    assert not found[:, 0].any()
    assert found[:, 1:-1].any(2).all()


def test_who_reaches_all_items_alike_prefers_none() -> None:
    ptr, items = histories()
    everything = torch.arange(ITEMS).int().expand(ITEMS, -1)
    same = Reached(ptr, items, torch.ones(len(items)), everything, torch.ones(ITEMS, ITEMS))
    assert not squashed([lambda: same]).any()
