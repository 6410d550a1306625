"""Federated reconstruction: stateless clients that rebuild their user vector whenever asked.

Singhal, Sidahmed, Garrett, Wu, Rush, Prakash, "Federated reconstruction: partially local
federated learning", NeurIPS 2021, for matrix factorisation: the score of item i for user u is
``sigma(p_u . q_i)``. A client splits its interactions, each with its negatives, into two halves
at random. On the support half it descends from ``p_u = 0`` with the items frozen; on the query
half it steps the items with p_u frozen, and uploads their change. Each step takes its whole half.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting, Update
from ufgraphfr.algorithms.pointwise.changes import mean_change
from ufgraphfr.algorithms.pointwise.training import initial_table
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.arrays.tables import SharedTable
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.epochs import epoch_samples
from ufgraphfr.ops.samples import Samples
from ufgraphfr.ops.touched import touched


class FedRecon(Algorithm):
    """Hyper-parameters of federated reconstruction."""

    aggregation: ClassVar[Aggregation] = Aggregation.SUM

    dim: int = Field(32, ge=1)
    """d, the length of an item vector."""
    lr: float = Field(0.1, gt=0)
    """Base of both learning rates."""
    row_scale: float = Field(20.0, gt=0)
    """Item rows learn at ``lr * items * row_scale``, as in the family of `Pointwise`."""
    user_scale: float = Field(20.0, gt=0)
    """The user vector learns at ``lr * user_scale``."""
    support_steps: int = Field(20, ge=1)
    """k1, steps that rebuild the user vector."""
    query_steps: int = Field(1, ge=1)
    """k2, steps of the items."""
    negatives: int = Field(4, ge=1)
    """Fresh negatives for each interaction."""
    init_std: float = Field(0.1, gt=0)
    """Standard deviation of the initial item vectors."""
    server_lr: float = Field(1.0, gt=0)
    """Factor on the mean of the clients' item changes."""

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        return {"items": initial_table(setting, self.dim, self.init_std)}

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`."""
        tables = SharedTable(state["items"], len(clients))
        return Task(round_number, clients, {}, {"items": tables})

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`."""
        samples = epoch_samples(batch, key, self.negatives, 0)
        support, query = halves(samples, batch, key, 1 + self.negatives)
        rows = touched(samples.item, batch.n_items)
        start = task.tables("items").gather(rows.ptr, rows.index)
        table, row = start.clone(), rows.rows(samples.item)
        user = self.rebuild(table[row], samples.positive, support)
        row_lr = self.lr * batch.n_items * self.row_scale
        logits = table.new_zeros(row.shape)
        for _ in range(self.query_steps):
            logits = (table[row] @ user[..., None]).squeeze(-1)
            error = (logits.sigmoid() - samples.positive) * query
            gradient = error[..., None] * user[:, None]
            table.index_add_(0, row.flatten(), gradient.flatten(0, 1), alpha=-row_lr)
        entropy = F.binary_cross_entropy_with_logits(logits, samples.positive, reduction="none")
        change = Rows(rows.ptr, rows.index, table.sub_(start), batch.n_items)
        return Update({"items": change}, (entropy * query).sum(1)), {}

    def rebuild(self, vectors: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
        """The user vectors after k1 steps from zero, float ``[clients, dim]``.

        Args:
            vectors: float ``[clients, n, dim]``, of the samples' items.
            positive: float ``[clients, n]``, 1 or 0.
            weight: float ``[clients, n]``, share of each sample in the client's loss.
        """
        user = vectors.new_zeros(len(vectors), self.dim)
        for _ in range(self.support_steps):
            logits = (vectors @ user[..., None]).squeeze(-1)
            error = (logits.sigmoid() - positive) * weight
            user -= self.lr * self.user_scale * (error[:, None] @ vectors).squeeze(1)
        return user

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        return {"items": state["items"] + self.server_lr * mean_change(report)}

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`; the whole history is the support.

        A ranking must not hang on a draw: every other item is a negative, with the weight that
        it has among drawn negatives in expectation.
        """
        tables = task.tables("items").dense()
        length = int(inputs.counts.max())
        items = inputs.first(length)[0]
        # padding marks an extra column that is cut off again
        positive = tables.new_zeros(len(inputs), inputs.n_items + 1)
        positive.scatter_(1, torch.where(items < 0, inputs.n_items, items), 1.0)
        positive = positive[:, :-1]
        seen = positive.sum(1, keepdim=True)
        drawn = (1 - positive) * self.negatives / (inputs.n_items - seen).clamp(min=1)
        weight = (positive / seen.clamp(min=1) + drawn) / (1 + self.negatives)
        user = self.rebuild(tables, positive, weight * (seen > 0))
        return (tables @ user[..., None]).squeeze(-1)


def halves(samples: Samples, batch: ClientBatch, key: Key, group: int) -> tuple[Tensor, Tensor]:
    """A fresh random half of each client's interactions as support, the others as query.

    Args:
        samples: of all interactions.
        batch: the clients.
        key: seed and round.
        group: samples of each interaction: itself and its negatives.

    Returns:
        Weights of the samples in the two losses, float ``[clients, samples]`` each: 1 / samples
        of the half, and 0 outside it. An odd interaction goes to the support.
    """
    counts = batch.counts
    first = (counts + 1) // 2
    length = int(counts.max())
    words = key.to(Purpose.SPLIT).words(batch.clients, 0, length)
    padding = torch.arange(length, device=words.device) >= counts[:, None]
    rank = words.masked_fill(padding, 2**32).argsort(dim=1, stable=True).argsort(dim=1)
    support = (rank < first[:, None]).gather(1, samples.time) & (samples.item >= 0)
    query = ~support & (samples.item >= 0)
    sizes = (first * group, (counts - first) * group)
    return support / sizes[0].clamp(min=1)[:, None], query / sizes[1].clamp(min=1)[:, None]
