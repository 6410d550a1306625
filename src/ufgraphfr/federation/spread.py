"""What the clients of all workers replied, at each worker."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ufgraphfr.core.messages import Aggregation, Private, Report, combine, one_row
from ufgraphfr.core.workers import Workers
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.private_state import CLIENTS, PrivateState


@dataclass(frozen=True)
class _Summed:
    """What a worker tells of its sums before they are added up.

    Attributes:
        clients, losses: of a report, on the CPU.
        arrays: by name the shape, and type and kind of device.
    """

    clients: Tensor
    losses: Tensor
    arrays: dict[str, tuple[tuple[int, ...], dict[str, Any]]]

    @classmethod
    def of(cls, report: Report, sums: dict[str, Tensor]) -> "_Summed":
        arrays = {
            name: (tuple(value.shape), {"dtype": value.dtype, "device": value.device.type})
            for name, value in sums.items()
        }
        return cls(report.clients.cpu(), report.loss.cpu(), arrays)


def everybodys(
    aggregator: Aggregator, reports: list[Report], number: int, workers: Workers
) -> list[Report]:
    """The reports of all workers; sums over clients are added up on the way.

    Args:
        aggregator: knows whether replies are no more than added up.
        reports: of this worker's clients, none if none of them was asked.
        number: of the round.
        workers: who shares the work.

    Returns:
        The same list at every worker; a single report where replies are sums.
    """
    if workers.size == 1:
        return reports
    reports = aggregator.added(reports)
    mine = combine(reports) if reports else None
    if any(workers.gathered(mine is not None and not _is_dense_sum(mine))):
        return [report for report in workers.gathered(mine) if report is not None]
    return _added(mine, number, workers)


def _is_dense_sum(report: Report) -> bool:
    if report.aggregation is not Aggregation.SUM:
        return False
    return not any(value.is_sparse for value in report.sums.values())


def _added(mine: Report | None, number: int, workers: Workers) -> list[Report]:
    """One reduction for each array; who has no clients adds nothing to it."""
    sums = {} if mine is None else mine.sums
    told = workers.gathered(None if mine is None else _Summed.of(mine, sums))
    present = [each for each in told if each is not None]
    if not present:
        return []
    clients = torch.cat([each.clients for each in present])
    losses = torch.cat([each.losses for each in present])
    total = {
        name: workers.total(sums[name].clone() if name in sums else torch.zeros(shape, **like))
        for name, (shape, like) in present[0].arrays.items()
    }
    order = clients.argsort()
    device = next(iter(total.values()), clients).device
    return [
        Report(
            round=number,
            clients=clients[order].to(device),
            arrays=one_row(total),
            aggregation=Aggregation.SUM,
            loss=losses[order].to(device),
        )
    ]


def everybodys_private(store: PrivateState, workers: Workers) -> Private:
    """The weights of all clients, or of who took part, each from the worker that simulates it."""
    mine = store.kept()
    if workers.size == 1:
        return mine
    told = workers.gathered({name: value[:0] for name, value in mine.items()})
    names = next((each for each in told if each), {})
    if CLIENTS not in names:
        return {name: _added_rows(value, None, len(value), workers) for name, value in mine.items()}
    # what was read from a checkpoint is of all workers' clients
    mine = mine or names
    clients = mine.pop(CLIENTS)
    own = workers.own(clients)
    everybody = torch.cat(workers.gathered(clients[own])).sort().values
    place = torch.searchsorted(everybody, clients[own])
    return {CLIENTS: everybody} | {
        name: _added_rows(value[own], place, len(everybody), workers)
        for name, value in mine.items()
    }


def _added_rows(rows: Tensor, place: Tensor | None, height: int, workers: Workers) -> Tensor:
    """Rows of all workers at their places; without places, each client's at its number."""
    kept = rows.new_zeros((height, *rows.shape[1:]))
    if place is None:
        place = workers.own(torch.arange(height, device=rows.device))
        rows = rows[place]
    kept[place] = rows
    return workers.total(kept)
