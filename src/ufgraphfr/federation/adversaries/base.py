"""What an adversary must offer: the history its clients make up, and what they reply instead.

Some of the clients are malicious from the first round. They run the real client function on a
made-up history, so they know all that a client knows, and then reply what they like.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms import capabilities
from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.arrays.sparse_rows import changed_rows
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Report, Task, per_client
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.client_batches import ClientBatch


@dataclass(frozen=True)
class Aim:
    """What the malicious clients know.

    Attributes:
        algorithm, setting: what all clients run.
        clients: int64 ``[malicious]``, who they are, ascending.
        target: the item to push.
        popular: int64 ``[fillers]``, the items most clients have, the most popular first.
    """

    algorithm: Algorithm
    setting: Setting
    clients: Tensor
    target: int
    popular: Tensor


class Adversary(Spec, ABC):
    """Malicious clients; fields are keys of the ``[federation.adversary]`` table."""

    share: float = Field(0.05, ge=0, lt=0.5)
    """Of the clients."""
    target: int | None = Field(None, ge=0)
    """Number of the item to push; None takes one that the fewest clients have."""
    fillers: int = Field(50, ge=1)
    """Popular items in a made-up history."""

    def aim(
        self, algorithm: Algorithm, setting: Setting, batch: ClientBatch, clients: Tensor
    ) -> Aim:
        """Choose the malicious clients and the target.

        Args:
            algorithm: what all clients run.
            setting: the federation.
            batch: everybody's data, which say what is popular.
            clients: int64, those that take part.
        """
        words = Key(setting.seed, purpose=Purpose.MALICIOUS).words(clients, 0, 1)[:, 0]
        drawn = clients[words.argsort(stable=True)[: round(self.share * len(clients))]]
        counts = torch.bincount(batch.items, minlength=setting.items)
        order = counts.argsort(stable=True)
        target = int(order[0]) if self.target is None else self.target
        popular = order.flip(0)[: self.fillers + 1]
        popular = popular[popular != target][: self.fillers]
        return Aim(algorithm, setting, drawn.sort().values, target, popular)

    def history(self, batch: ClientBatch, aim: Aim) -> ClientBatch:
        """The malicious clients' data: the target amid popular items, in an order of their own."""
        own = []
        for client in batch.clients:
            shift = int(client) % len(aim.popular)
            items = aim.popular.roll(shift)
            middle = len(items) // 2
            own.append(torch.cat((items[:middle], items.new_tensor([aim.target]), items[middle:])))
        items = torch.cat(own)
        ptr = torch.arange(len(batch) + 1, device=items.device) * (len(aim.popular) + 1)
        excluded = torch.cat([each.sort().values for each in own])
        return replace(batch, ptr=ptr, items=items, excluded_ptr=ptr, excluded=excluded)

    @abstractmethod
    def reply(self, report: Report, task: Task, aim: Aim) -> Report:
        """What a malicious client replies.

        Args:
            report: one client's own, from the made-up history.
            task: what the server sent.
            aim: what it knows.
        """


def item_views(report: Report, aim: Aim) -> tuple[Report, dict[str, Tensor], dict[str, Tensor]]:
    """A copy of a reply to change in place, with changed rows written out.

    Returns:
        the copy; its arrays with a row for each item, ``[clients, items, ...]``; all others.
    """
    arrays = {name: value.dense().clone() for name, value in report.arrays.items()}
    views = capabilities.item_views(aim.algorithm, arrays, aim.setting, report.round)
    items = (aim.setting.items,)
    tables = {name: view for name, view in views.items() if view.shape[1:2] == items}
    others = {name: view for name, view in views.items() if view.shape[1:2] != items}
    return replace(report, arrays=per_client(arrays)), tables, others


def uphill(name: str, task: Task, aim: Aim) -> Tensor | None:
    """Where a reply's rows must move for everybody to like them more, float ``[...]`` of norm one.

    Away from the mean item and towards the popular ones, in the table that was broadcast: users
    have in common what popular items have in common. None if the table was not broadcast.
    """
    sent = {key: tables.dense()[:1] for key, tables in task.personal.items()}
    sent |= {key: value[None] for key, value in task.shared.items()}
    table = capabilities.item_views(aim.algorithm, sent, aim.setting, task.round).get(name)
    if table is None:
        return None
    towards = table[0, aim.popular].mean(0) - table[0].mean(0)
    # a gradient is subtracted, a change is added
    sign = -1.0 if "gradient" in name else 1.0
    unit: Tensor = towards / towards.norm().clamp(min=1e-12)
    return sign * unit


def longest_row(table: Tensor) -> Tensor:
    """Length of a client's longest row, float64; of one number, its size."""
    rows = table.double()
    return rows.flatten(2).norm(dim=2).amax() if table.dim() > 2 else rows.abs().amax()


def put(table: Tensor, rows: dict[int, Tensor]) -> None:
    """Write rows into a table ``[1, items, ...]`` that is zero elsewhere.

    Whole numbers are clipped updates on a grid: they stay as long as they were, or validation
    would refuse them.
    """
    forged = torch.zeros_like(table, dtype=torch.float64)
    for item, row in rows.items():
        forged[:, item] = row
    if not table.is_floating_point():
        forged = (forged * (table.double().norm() / forged.norm().clamp(min=1e-12))).trunc()
    table.copy_(forged)


def with_rows(report: Report, like: Report) -> Report:
    """The same reply with tables as changed rows where ``like`` has changed rows."""
    arrays = {
        name: changed_rows(value) if like.arrays[name].spec.rows else value
        for name, value in report.arrays.items()
    }
    return replace(report, arrays=arrays)
