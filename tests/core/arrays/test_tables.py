"""Item tables formed as far as they are read, against tables written out in full."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.arrays.tables import (
    ChangedTables,
    DenseTables,
    GraphTables,
    SharedTable,
    Tables,
    owners,
)

HEIGHT, DIM = 6, 3


def sparse(clients: int, generator: torch.Generator) -> Tensor:
    """Tables most of whose rows are zero."""
    values = torch.randn(clients, HEIGHT, DIM, generator=generator)
    return values * (torch.rand(clients, HEIGHT, 1, generator=generator) < 0.4)


def graph(clients: int, generator: torch.Generator) -> tuple[Tables, Tensor]:
    """Graph tables, and the same sum over neighbors written out."""
    base = torch.randn(HEIGHT, DIM, generator=generator)
    changes = sparse(5, generator)
    neighbors = torch.randint(5, (clients, 3), generator=generator)
    weights = torch.rand(clients, 3, generator=generator)
    return linked(base, changes, neighbors, weights)


def uniform_graph(clients: int, generator: torch.Generator) -> tuple[Tables, Tensor]:
    """The same with equal weights for all of a client's neighbors."""
    base = torch.randn(HEIGHT, DIM, generator=generator)
    changes = sparse(5, generator)
    neighbors = torch.randint(5, (clients, 3), generator=generator)
    counts = torch.randint(1, 4, (clients, 1), generator=generator)
    weights = (torch.arange(3) < counts) / counts
    return linked(base, changes, neighbors, weights)


def gappy_graph(clients: int, generator: torch.Generator) -> tuple[Tables, Tensor]:
    """The same with weights of zero anywhere among the others, as if neighbors had sat out."""
    base = torch.randn(HEIGHT, DIM, generator=generator)
    changes = sparse(5, generator)
    neighbors = torch.randint(5, (clients, 3), generator=generator)
    weights = torch.rand(clients, 3, generator=generator)
    weights *= torch.rand(clients, 3, generator=generator) < 0.5
    return linked(base, changes, neighbors, weights)


def linked(
    base: Tensor, changes: Tensor, neighbors: Tensor, weights: Tensor
) -> tuple[Tables, Tensor]:
    full = base.repeat(len(neighbors), 1, 1)
    for client, (near, shares) in enumerate(zip(neighbors, weights, strict=True)):
        for neighbor, share in zip(near, shares, strict=True):
            full[client] += share * changes[neighbor]
    return GraphTables(base, Rows.of(changes), neighbors, weights), full


def shared(clients: int, generator: torch.Generator) -> tuple[Tables, Tensor]:
    table = torch.randn(HEIGHT, DIM, generator=generator)
    return SharedTable(table, clients), table.repeat(clients, 1, 1)


def dense(clients: int, generator: torch.Generator) -> tuple[Tables, Tensor]:
    tables = torch.randn(clients, HEIGHT, DIM, generator=generator)
    return DenseTables(tables), tables


def changed(clients: int, generator: torch.Generator) -> tuple[Tables, Tensor]:
    base, full = gappy_graph(clients, generator)
    change = sparse(clients, generator)
    return ChangedTables(base, Rows.of(change)), full + change


Make = Callable[[int, torch.Generator], tuple[Tables, Tensor]]
every_kind = pytest.mark.parametrize(
    "make", [shared, dense, graph, uniform_graph, gappy_graph, changed]
)


@every_kind
@given(clients=st.integers(1, 4), seed=st.integers(0, 2**31), data=st.data())
def test_tables_equal_their_full_form(
    make: Make, clients: int, seed: int, data: st.DataObject
) -> None:
    tables, full = make(clients, torch.Generator().manual_seed(seed))
    assert tables.shape == full.shape
    torch.testing.assert_close(tables.dense(), full)

    counts = data.draw(st.lists(st.integers(0, 4), min_size=clients, max_size=clients))
    total = sum(counts)
    index = data.draw(st.lists(st.integers(0, HEIGHT - 1), min_size=total, max_size=total))
    ptr = torch.tensor([0, *counts]).cumsum(0)
    rows = torch.tensor(index, dtype=torch.int64)
    owner = torch.repeat_interleave(torch.arange(clients), torch.tensor(counts))
    assert torch.equal(owners(ptr, total), owner)
    torch.testing.assert_close(tables.gather(ptr, rows), full[owner, rows])

    places = data.draw(st.lists(st.integers(0, clients - 1), min_size=1, max_size=5))
    picked = torch.tensor(places)
    torch.testing.assert_close(tables.select(picked).dense(), full[picked])


@every_kind
def test_gathered_rows_are_a_copy(make: Make) -> None:
    tables, full = make(2, torch.Generator().manual_seed(0))
    ptr, index = torch.tensor([0, 1, 2]), torch.tensor([0, 0])
    tables.gather(ptr, index).zero_()
    torch.testing.assert_close(tables.gather(ptr, index), full[:, 0])


def test_a_graph_without_edges_or_changes_leaves_the_base() -> None:
    base = torch.randn(HEIGHT, DIM)
    ptr, index = torch.tensor([0, 2]), torch.tensor([4, 1])
    nobody = torch.zeros(1, 0, dtype=torch.int64)
    some, none = torch.ones(2, HEIGHT, DIM), torch.zeros(2, HEIGHT, DIM)
    unlinked = GraphTables(base, Rows.of(some), nobody, nobody.float())
    unchanged = GraphTables(base, Rows.of(none), torch.tensor([[0, 1]]), torch.ones(1, 2))
    for tables in (unlinked, unchanged):
        assert torch.equal(tables.gather(ptr, index), base[index])
        assert torch.equal(tables.dense()[0], base)


def test_before_anybody_has_reported_everybody_starts_from_the_base() -> None:
    base = torch.randn(HEIGHT, DIM)
    nothing = Rows.of(torch.zeros(0, HEIGHT, DIM))
    tables = GraphTables(base, nothing, torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3))
    assert torch.equal(tables.dense(), base.expand(2, HEIGHT, DIM))
    ptr, index = torch.tensor([0, 1, 3]), torch.tensor([5, 0, 5])
    assert torch.equal(tables.gather(ptr, index), base[index])


@pytest.mark.parametrize("weights", [[1.0, 0.0], [0.3, 0.0], [0.0, 0.0]])
def test_a_neighbor_without_weight_counts_for_nothing(weights: list[float]) -> None:
    base, changes = torch.randn(HEIGHT, DIM), torch.ones(2, HEIGHT, DIM)
    changes[1] = 1e9
    tables = GraphTables(base, Rows.of(changes), torch.tensor([[0, 1]]), torch.tensor([weights]))
    torch.testing.assert_close(tables.dense()[0], base + weights[0])
