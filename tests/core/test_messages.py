"""Tasks and reports can be taken apart and put together by client."""

import pytest
import torch

from ufgraphfr.core import messages
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.arrays.tables import DenseTables, SharedTable
from ufgraphfr.core.messages import (
    Aggregation,
    Report,
    Task,
    combine,
    gather,
    one_row,
    per_client,
)

CLIENTS = torch.tensor([8, 3, 5, 1])
WEIGHTS = torch.arange(8.0).view(4, 2)
TABLES = torch.arange(24.0).view(4, 3, 2) * (torch.arange(12).view(4, 3, 1) % 2)


def report() -> Report:
    arrays = per_client({"weights": WEIGHTS, "items": Rows.of(TABLES)})
    return Report(2, CLIENTS, arrays, Aggregation.PER_CLIENT, loss=torch.arange(4.0))


def dense(of: Report, name: str) -> torch.Tensor:
    return of.arrays[name].dense()


def test_a_task_for_some_clients() -> None:
    table = SharedTable(torch.ones(3, 2), 4)
    start = DenseTables(WEIGHTS[..., None])
    task = Task(1, CLIENTS, {"lr": torch.tensor(0.1)}, {"start": start, "items": table})
    part = task.select(torch.tensor([2, 0]))
    assert part.clients.tolist() == [5, 8]
    assert torch.equal(part.tables("start").dense()[..., 0], WEIGHTS[[2, 0]])
    assert part.tables("items").shape == (2, 3, 2)
    assert part.shared == task.shared
    assert part.aggregation is task.aggregation


def test_a_report_of_some_clients() -> None:
    part = report().select(torch.tensor([3, 1]))
    assert part.clients.tolist() == [1, 3]
    assert part.loss.tolist() == [3, 1]
    assert torch.equal(dense(part, "weights"), WEIGHTS[[3, 1]])
    assert torch.equal(dense(part, "items"), TABLES[[3, 1]])


def test_a_total_sums_over_clients_and_cannot_be_taken_apart() -> None:
    total = report().total()
    assert total.aggregation is Aggregation.SUM
    for sums in (total.sums, report().sums, total.total().sums):
        assert torch.equal(sums["weights"], WEIGHTS.sum(0))
        assert torch.equal(sums["items"], TABLES.sum(0))
    assert {len(value.dense()) for value in total.arrays.values()} == {1}
    with pytest.raises(ValueError, match="a sum over clients cannot be taken apart"):
        total.select(torch.tensor([0]))


def test_a_report_holds_nothing_of_what_was_taken_of_it() -> None:
    total = report().total()
    sums = total.taken()
    assert (dict(total.arrays), set(sums), len(sums)) == ({}, {"weights", "items"}, 2)
    assert torch.equal(sums["items"], TABLES.sum(0))
    assert torch.equal(sums.pop("weights"), WEIGHTS.sum(0))
    assert set(sums) == {"items"}


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]])
def test_the_order_of_arrival_does_not_matter(order: list[int]) -> None:
    parts = [report().select(torch.tensor([place])) for place in order]
    joined = combine(list(parts))
    by_number = [3, 1, 2, 0]
    assert joined.clients.tolist() == [1, 3, 5, 8]
    assert joined.loss.tolist() == [3, 1, 2, 0]
    assert torch.equal(dense(joined, "weights"), WEIGHTS[by_number])
    assert torch.equal(dense(joined, "items"), TABLES[by_number])

    summed = combine([part.total() for part in parts])
    assert summed.clients.tolist() == [1, 3, 5, 8]
    assert summed.loss.tolist() == [3, 1, 2, 0]
    assert torch.equal(summed.sums["weights"], WEIGHTS.sum(0))
    assert torch.equal(summed.sums["items"], TABLES.sum(0))


def test_sparse_sums_are_added_to_those_of_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 256 replies none is added up more than eight times; dense ones are one at all times."""
    added = 0
    whole = messages.combine

    def counted(reports: list[Report]) -> Report:
        nonlocal added
        added += sum(len(each.clients) for each in reports)
        return whole(reports)

    monkeypatch.setattr(messages, "combine", counted)

    def told(client: int, values: torch.Tensor) -> Report:
        arrays = one_row({"sum": values})
        return Report(1, torch.tensor([client]), arrays, Aggregation.SUM, torch.zeros(1))

    kept: list[Report] = []
    for client in range(256):
        own = torch.zeros(1024, dtype=torch.int64)
        own[4 * client : 4 * client + 4] = client + 1
        kept.append(told(client, own.to_sparse().coalesce()))
        gather(kept)
        assert len(kept) <= 9
    assert added == 8 * 256
    (total,) = kept
    expected = torch.arange(1, 257).repeat_interleave(4)
    assert total.sums["sum"].to_dense().tolist() == expected.tolist()
    assert total.clients.tolist() == list(range(256))
    dense: list[Report] = []
    for client in range(9):
        dense.append(told(client, torch.ones(4)))
        gather(dense)
        assert len(dense) == 1
    assert dense[0].sums["sum"].tolist() == [9.0] * 4
