"""Tasks and reports can be taken apart and put together by client."""

import pytest
import torch

from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.arrays.tables import SharedTable
from ufgraphfr.core.messages import Report, Task, combine

CLIENTS = torch.tensor([8, 3, 5, 1])
WEIGHTS = torch.arange(8.0).view(4, 2)
TABLES = torch.arange(24.0).view(4, 3, 2) * (torch.arange(12).view(4, 3, 1) % 2)


def report() -> Report:
    arrays = {"weights": WEIGHTS, "items": Rows.of(TABLES)}
    return Report(2, CLIENTS, arrays, summed=False, loss=torch.arange(4.0))


def items(of: Report) -> torch.Tensor:
    value = of.arrays["items"]
    return value.dense() if isinstance(value, Rows) else value


def test_a_task_for_some_clients() -> None:
    table = SharedTable(torch.ones(3, 2), 4)
    task = Task(1, CLIENTS, {"lr": torch.tensor(0.1)}, {"start": WEIGHTS, "items": table})
    part = task.select(torch.tensor([2, 0]))
    assert part.clients.tolist() == [5, 8]
    assert torch.equal(part.personal["start"], WEIGHTS[[2, 0]])
    assert part.tables("items").shape == (2, 3, 2)
    assert part.shared == task.shared
    with pytest.raises(TypeError, match="'start' is an array, not item tables"):
        part.tables("start")


def test_a_report_of_some_clients() -> None:
    part = report().select(torch.tensor([3, 1]))
    assert part.clients.tolist() == [1, 3]
    assert part.loss.tolist() == [3, 1]
    assert torch.equal(part.arrays["weights"], WEIGHTS[[3, 1]])
    assert torch.equal(items(part), TABLES[[3, 1]])


def test_a_total_sums_over_clients_and_cannot_be_taken_apart() -> None:
    total = report().total()
    assert total.summed
    assert torch.equal(total.arrays["weights"], WEIGHTS.sum(0))
    assert torch.equal(items(total), TABLES.sum(0))
    assert total.total() is total
    with pytest.raises(ValueError, match="a sum over clients cannot be taken apart"):
        total.select(torch.tensor([0]))


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]])
def test_the_order_of_arrival_does_not_matter(order: list[int]) -> None:
    parts = [report().select(torch.tensor([place])) for place in order]
    joined = combine(list(parts))
    by_number = [3, 1, 2, 0]
    assert joined.clients.tolist() == [1, 3, 5, 8]
    assert joined.loss.tolist() == [3, 1, 2, 0]
    assert torch.equal(joined.arrays["weights"], WEIGHTS[by_number])
    assert torch.equal(items(joined), TABLES[by_number])

    summed = combine([part.total() for part in parts])
    assert summed.clients.tolist() == [1, 3, 5, 8]
    assert summed.loss.tolist() == [3, 1, 2, 0]
    assert torch.equal(summed.arrays["weights"], WEIGHTS.sum(0))
    assert torch.equal(items(summed), TABLES.sum(0))
