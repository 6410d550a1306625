"""Planted clients: they upload numbers of their own in the real arrays of the model they stand in.

Of all the numbers that one client uploads in a round, number f belongs to canary f mod k. So k
canaries of a group share no number, and what is released of one holds nothing of another. All else
is the audited run's own: names, shapes and kinds of arrays, the client function, clipping, sum,
noise, and what the server makes of it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting, Update
from ufgraphfr.core.arrays.protocol import Plain, sized
from ufgraphfr.core.arrays.sparse_rows import Rows, pointers
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import (
    Aggregation,
    Private,
    Report,
    State,
    Task,
    one_row,
    per_client,
)
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.privacy.base import Arrays, Mechanism

LENGTH = 1e6
"""Of a planted upload: far beyond any clip, but not beyond float32."""


class Planted(Algorithm):
    """The audited model, whose clients upload their own numbers instead of what they learn."""

    aggregation: ClassVar[Aggregation] = Aggregation.SUM

    real: Algorithm
    """The audited model."""
    canaries: int
    """k; clients with higher ids upload zeros."""
    silent: frozenset[int] = frozenset()
    """Rounds in which everybody uploads zeros."""

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`: as one real client's update, with other numbers."""
        first = task.clients.new_zeros(1)
        asked = replace(task.select(first), aggregation=Aggregation.PER_CLIENT)
        own = {name: value[first] for name, value in private.items()}
        update, _ = self.real.local(asked, batch.select(first), own, key)
        like = one_row(update.arrays) if update.summed else per_client(update.arrays)
        return Update(self._planted(like, task), torch.zeros(len(batch))), {}

    def _planted(self, like: Mapping[str, Plain], task: Task) -> dict[str, Tensor | Rows]:
        clients, length = task.clients, 0.0 if task.round in self.silent else LENGTH
        own = numbers(clients, self.canaries, sum(sized(value.spec) for value in like.values()))
        each = torch.where(clients < self.canaries, length / max(1, own.shape[1]) ** 0.5, 0.0)
        planted, start = dict[str, Tensor | Rows](), 0
        for name, value in like.items():
            size = sized(value.spec)
            client, place = ((own >= start) & (own < start + size)).nonzero(as_tuple=True)
            at = own[client, place] - start
            planted[name] = _array(value, client, at, each[client].float(), len(clients))
            start += size
        return planted

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        return self.real.init_server(setting)

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        return self.real.aggregate(state, report)

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        return self.real.score(task, inputs, private)


class Unnoised(Mechanism):
    """The devices' half of a mechanism: its sums show what passes of the canaries."""

    is_private: ClassVar[bool] = True

    def __init__(self, real: Mechanism) -> None:
        """Takes the audited one."""
        self._real = real

    def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
        """See `Mechanism.privatize`."""
        kept = self._real.privatize(arrays, clients, key)
        return {name: value for name, value in kept.items() if name in arrays}

    def finalize(self, report: Report, key: Key) -> Report:
        """See `Mechanism.finalize`."""
        sums = {name: value.to_dense().float() for name, value in report.sums.items()}
        return replace(report, arrays=one_row(sums))


def numbers(clients: Tensor, canaries: int, size: int) -> Tensor:
    """Which of ``size`` numbers belong to each client, int64 ``[clients, size // canaries]``."""
    return clients[:, None] + canaries * torch.arange(size // canaries)


def _array(like: Plain, client: Tensor, at: Tensor, values: Tensor, clients: int) -> Tensor | Rows:
    """Numbers of clients, at places of one client's array, as an array of the same kind."""
    shape = like.spec.shape
    if not like.sparse:
        dense = torch.zeros(clients, sized(like.spec))
        dense[client, at] = values
        return dense.view(clients, *shape)
    if len(shape) == 1:
        flat = torch.sparse_coo_tensor(torch.stack((client, at)), values, (clients, *shape))
        return flat.coalesce()
    height, width = shape
    rows, which = (client * height + at // width).unique(return_inverse=True)
    filled = torch.zeros(len(rows), width)
    filled[which, at % width] = values
    ptr = pointers(torch.bincount(rows // height, minlength=clients))
    return Rows(ptr, rows % height, filled, height)
