"""Item tables formed as far as they are read, against tables written out in full."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ufgraphfr.core.rows import Rows
from ufgraphfr.core.tables import (
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


def with_zero_row(tables: Tensor) -> Rows:
    """Sparse changes whose first value row is zero and nobody's."""
    rows = Rows.of(tables)
    return Rows(rows.ptr + 1, rows.index, F.pad(rows.values, (0, 0, 1, 0)), rows.height)


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


def linked(
    base: Tensor, changes: Tensor, neighbors: Tensor, weights: Tensor
) -> tuple[Tables, Tensor]:
    full = base + torch.einsum("ck,ckhd->chd", weights, changes[neighbors])
    return GraphTables(base, with_zero_row(changes), neighbors, weights), full


def shared(clients: int, generator: torch.Generator) -> tuple[Tables, Tensor]:
    table = torch.randn(HEIGHT, DIM, generator=generator)
    return SharedTable(table, clients), table.repeat(clients, 1, 1)


def dense(clients: int, generator: torch.Generator) -> tuple[Tables, Tensor]:
    tables = torch.randn(clients, HEIGHT, DIM, generator=generator)
    return DenseTables(tables), tables


def changed(clients: int, generator: torch.Generator) -> tuple[Tables, Tensor]:
    base, full = graph(clients, generator)
    change = sparse(clients, generator)
    return ChangedTables(base, Rows.of(change)), full + change


Make = Callable[[int, torch.Generator], tuple[Tables, Tensor]]
every_kind = pytest.mark.parametrize("make", [shared, dense, graph, uniform_graph, changed])


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
    unlinked = GraphTables(base, with_zero_row(some), nobody, nobody.float())
    unchanged = GraphTables(base, with_zero_row(none), torch.tensor([[0, 1]]), torch.ones(1, 2))
    for tables in (unlinked, unchanged):
        assert torch.equal(tables.gather(ptr, index), base[index])
        assert torch.equal(tables.dense()[0], base)
