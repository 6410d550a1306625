"""LightGCN over a federation: items propagate at the server, users on their own device.

He, Deng, Wang, Li, Zhang, Wang, "LightGCN: simplifying and powering graph convolution network for
recommendation", SIGIR 2020. Over the bipartite graph of users and items, normalised by
``1 / sqrt(n_u d_i)``, an embedding is the mean of its layers 0 to L. Here a user has no free
vector: its layer 0 is zero, so that a model serves users it has never seen. With L = 2K + 1 and the
public item operator P (`item_operator`), two layers of the bipartite graph, this is

  H = (V + P V + ... + P^K V) / (2K + 2),    u = sum over the history of H_i / sqrt(n_u d_i).

The server keeps V and sends H. A device forms u, and the gradient of its loss with respect to the
rows of H; these are summed over clients, and the server takes the sum back through P, which is its
own transpose, to V. The paper's loss is BPR; here it is a softmax over each interaction and the
client's drawn negatives.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting, Update
from ufgraphfr.algorithms.item_operator.operator import COUNTS, OperatorSpec, applied
from ufgraphfr.algorithms.pointwise.changes import mean_change
from ufgraphfr.algorithms.pointwise.training import initial_table
from ufgraphfr.core.arrays.sparse_rows import Rows, owners
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.core.releases import Budget
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.adam import Moments, adam
from ufgraphfr.ops.recency import propagate
from ufgraphfr.ops.touched import touched

PROPAGATED = "propagated"
"""H in the server's memory, what it sends."""


class LightGCN(Algorithm):
    """Hyper-parameters of LightGCN."""

    aggregation: ClassVar[Aggregation] = Aggregation.SUM

    dim: int = Field(64, ge=1)
    """d, the length of an item vector."""
    hops: int = Field(1, ge=0)
    """K, hops from item to item: 2K + 1 layers. Without any, no operator is summed."""
    operator: OperatorSpec = OperatorSpec()
    """How the operator is summed, in the first rounds."""
    negatives: int = Field(200, ge=1)
    """Drawn for each client and round."""
    lr: float = Field(0.15, gt=0)
    """Learning rate of the server's Adam."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay of its running moments."""
    weight_decay: float = Field(0.0, ge=0)
    """Share of V that a step removes, times ``lr``."""
    init_std: float = Field(0.1, gt=0)
    """Standard deviation of the initial item vectors."""

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        items = initial_table(setting, self.dim, self.init_std)
        state = {
            "items": items,
            PROPAGATED: items / (2 * self.hops + 2),
            "adam.first": torch.zeros_like(items),
            "adam.second": torch.zeros_like(items),
            "adam.steps": torch.zeros(1, dtype=torch.int64),
        }
        return state | self.operator.begun(setting.items)

    def warm_start(self, fresh: State, before: State) -> State:
        """See `capabilities.WarmStart`: the table; the operator is summed anew."""
        names = ("items", "adam.first", "adam.second", "adam.steps")
        return fresh | {name: before[name] for name in names}

    def for_budget(self, budget: Budget, setting: Setting) -> Algorithm:
        """See `capabilities.Budgeted`: one layer.

        Noise for one history on all pairs of items would drown the operator.
        """
        return self.model_copy(update={"hops": 0})

    def asks_all_clients(self, round_number: int) -> bool:
        """See `capabilities.AsksAllClients`: the operator is a sum over everybody."""
        return self.hops > 0 and round_number <= self.operator.rounds

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`."""
        if self.asks_all_clients(round_number):
            return Task(round_number, clients, {}, {})
        return self.scoring_task(state, clients, round_number)

    def scoring_task(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `capabilities.ScoringTask`."""
        shared = {name: state[name] for name in (PROPAGATED, COUNTS)}
        return Task(round_number, clients, shared, {}, frozenset({COUNTS}))

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`: rows of the sum, or the gradient with respect to H."""
        if self.asks_all_clients(task.round):
            return self.operator.contribution(batch, task.round), {}
        negatives = batch.negatives(key.to(Purpose.NEGATIVES), self.negatives)
        length = max(1, int(batch.counts.max()))
        history = batch.first(length)[0]
        rows = touched(torch.cat((history, negatives), 1), batch.n_items)
        table = task.shared[PROPAGATED][rows.index].requires_grad_()
        owner = owners(batch.ptr, len(batch.items))
        place = rows.rows_of(owner, batch.items)
        user = _users(batch, place, table, task.shared[COUNTS])
        positive = (user[owner] * table[place]).sum(1)
        against = (table[rows.rows(negatives)] @ user[..., None]).squeeze(2)
        against = against.masked_fill(negatives < 0, -torch.inf).logsumexp(1)[owner]
        terms = (torch.logaddexp(positive, against) - positive) / batch.counts[owner]
        losses = terms.new_zeros(len(batch)).index_add(0, owner, terms)
        (gradient,) = torch.autograd.grad(losses.sum(), table)
        change = Rows(rows.ptr, rows.index, gradient, batch.n_items)
        return Update({"items": change}, losses.detach()), {}

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`: rows of the sum, or a step of Adam on V."""
        if self.asks_all_clients(report.round):
            state = state | self.operator.collect(state, report.sums, report.round)
            return state | {PROPAGATED: self.propagated(state, state["items"])}
        gradient = self.propagated(state, mean_change(report))
        moments = Moments(state["adam.first"], state["adam.second"], state["adam.steps"])
        start = state["items"] * (1 - self.lr * self.weight_decay)
        items, moments = adam(start, gradient, moments, self.lr, self.betas)
        return state | {
            "items": items,
            PROPAGATED: self.propagated(state, items),
            "adam.first": moments.first,
            "adam.second": moments.second,
            "adam.steps": moments.steps,
        }

    def propagated(self, state: State, vectors: Tensor) -> Tensor:
        """The mean over layers, float ``[items, dim]``: from V to H, or from a gradient back."""
        total = vectors
        for _ in range(self.hops):
            vectors = applied(state, vectors)
            total = total + vectors
        return total / (2 * self.hops + 2)

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        table, counts = task.shared[PROPAGATED], task.shared[COUNTS]
        return _users(inputs, inputs.items, table, counts) @ table.T


def _users(batch: ClientBatch, place: Tensor, table: Tensor, counts: Tensor) -> Tensor:
    """The users' vectors, float ``[clients, dim]``; ``place`` is where an item's row is."""
    length = batch.counts.repeat_interleave(batch.counts)
    weights = (length * counts[batch.items].clamp(min=1)).rsqrt()
    return propagate(batch.ptr, place, weights, table)
