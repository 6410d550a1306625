"""The ridge operator among an item's nearest, against numpy's inverse of each submatrix."""

import numpy as np
import pytest
import torch
from largest_tensor import LargestTensor
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.graph.local_ridge import local_ridge
from ufgraphfr.algorithms.ufgraphformer.graph.pair_rows import Mirrored, PairRows, strongest
from ufgraphfr.core.arrays.sparse_rows import pointers


def rows(dense: Tensor) -> Mirrored:
    upper = dense.triu()
    there = upper != 0
    columns = there.nonzero()[:, 1].int()
    return Mirrored.of(PairRows(pointers(there.sum(1)), columns, upper[there]))


def counted(items: int, seed: int = 0) -> Tensor:
    """Co-interactions of 60 clients, of whom each has a fifth of the items."""
    generator = torch.Generator().manual_seed(seed)
    has = (torch.rand(60, items, generator=generator) < 0.2).float()
    return has.T @ has


def nearest(pairs: Mirrored, links: int) -> tuple[Tensor, Tensor]:
    index, value = strongest(pairs, lambda _rows, _columns, value: value, links)
    return index, value > 0


@pytest.mark.parametrize("links", [3, 12])
def test_a_row_is_that_of_the_inverse_of_an_item_and_its_nearest(links: int) -> None:
    gram = counted(30)
    # one that nobody has beside another, and one that nobody has
    gram[7, gram[7].nonzero()] = 0
    gram[:, 7] = 0
    gram[7, 7] = 4
    gram[9], gram[:, 9] = 0, 0
    index, there = nearest(rows(gram), links)
    found = local_ridge(rows(gram), index, there, 5.0)
    inverse = []
    for item in range(30):
        own = [item, *index[item][there[item]].tolist()]
        among = gram[own][:, own].double().numpy() + 5 * np.eye(len(own))
        inverse.append(np.linalg.inv(among)[0])
    for item in range(30):
        own = index[item][there[item]].tolist()
        expected = [
            -value / inverse[near][0] for value, near in zip(inverse[item][1:], own, strict=True)
        ]
        np.testing.assert_allclose(found[item][there[item]], expected, rtol=1e-4, atol=1e-6)
    assert not found[~there].any()
    assert (~there[7]).all()
    assert bool((found < 0).any()) == (links == 12)


def test_with_all_items_near_it_is_ease() -> None:
    gram = counted(25) + 1
    index, there = nearest(rows(gram), 24)
    links = local_ridge(rows(gram), index, there, 3.0)
    found = torch.zeros(25, 25).scatter_(1, index.long(), links)
    inverse = torch.linalg.inv(gram.double() + 3 * torch.eye(25))
    ease = (-inverse / inverse.diagonal()).fill_diagonal_(0).float()
    torch.testing.assert_close(found, ease, atol=1e-5, rtol=1e-4)


def test_sums_that_no_clients_made_have_no_links_and_break_nothing() -> None:
    gram = counted(20)
    gram[3, 4] = gram[4, 3] = 1e4
    index, there = nearest(rows(gram), 5)
    found = local_ridge(rows(gram), index, there, 5.0)
    assert found.isfinite().all()
    assert not found[3].any()
    assert found[there.any(1)].any(1).sum() > 10


def test_no_matrix_of_all_items_is_made() -> None:
    items = 20_000
    generator = torch.Generator().manual_seed(0)
    own = torch.arange(items)
    # all but the last with themselves and the next
    held = torch.full((items,), 2)
    held[-1] = 1
    columns = torch.stack((own, own + 1), 1).flatten()[:-1].int()
    values = torch.stack((own * 0 + 9.0, torch.rand(items, generator=generator)), 1).flatten()
    pairs = Mirrored.of(PairRows(pointers(held), columns, values[:-1]))
    index, there = nearest(pairs, 4)
    largest = LargestTensor()
    with largest:
        found = local_ridge(pairs, index, there, 5.0)
    assert largest.numbers < 300 * items
    assert found[:-1, 0].all()
