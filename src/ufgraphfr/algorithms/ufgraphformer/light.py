"""LightGCN as a part of the model: item vectors, trained beside the Transformer's.

He et al., "LightGCN", SIGIR 2020, with a user's vector made of the own history (`lightgcn`), and
one layer: over the graph's item counts d, a history of n items and item vectors H,

  u = sum over the history of H_i / sqrt(n d_i),    score = H u.

It sees neither order nor recency, unlike the Transformer, and is trained, unlike the graph. In each
training round a client of the cohort sends the gradient of its mean loss under a softmax over the
catalogue. With p the softmax of the scores, x the history as 0 and 1 and g = p - x / n, that is
g u^T + (x / sqrt(n d)) (H^T g)^T.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.algorithms.ufgraphformer.graph.config import COUNTS
from ufgraphfr.algorithms.ufgraphformer.part import Part
from ufgraphfr.algorithms.ufgraphformer.sequence.config import SequenceSpec
from ufgraphfr.algorithms.ufgraphformer.sequence.server_adam import ServerAdam
from ufgraphfr.core.arrays.protocol import Matrix
from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import State, Summed, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.fusion import Scorer
from ufgraphfr.ops.recency import propagate

ITEMS = "light"
"""In the server's memory and in a training round's message: H, flat, of items times ``dim``."""
GRADIENT, COUNT = "light.gradient", "light.count"
"""What clients add: the gradient with respect to it, and 1 each."""
ADAM = ServerAdam(lr=0.025, warmup=1, average=0.97)
"""Chosen on MovieLens-100K; half and twice the rate gain half as much there."""
INIT_STD = 0.05


@dataclass(frozen=True)
class Light(Part):
    """LightGCN of one layer.

    Attributes:
        spec: the Transformer's, whose rounds and width it shares.
    """

    spec: SequenceSpec

    def names(self, setting: Setting) -> tuple[str, ...]:
        """See `Part.names`."""
        return ("lightgcn",)

    def state(self, setting: Setting) -> State:
        """See `Part.state`."""
        generator = Key(setting.seed, purpose=Purpose.INIT_ITEMS).generator()
        size = setting.items * self.spec.dim
        return ADAM.begun(torch.randn(size, generator=generator) * INIT_STD, ITEMS)

    def trained(self) -> frozenset[str]:
        """See `Part.trained`."""
        return ADAM.names(ITEMS)

    def message(self, state: State) -> State:
        """What a cohort trains with, beside the item counts."""
        return {ITEMS: state[ITEMS]}

    def contribution(self, task: Task, batch: ClientBatch, key: Key) -> Update | None:
        """See `Part.contribution`: each client's gradient, or their sum."""
        if ITEMS not in task.shared:
            return None
        table = self._table(task.shared)
        weights = _weights(batch, task.shared[COUNTS])
        users = propagate(batch.ptr, batch.items, weights, table)
        scores = users @ table.T
        owner, length = owners(batch.ptr, len(batch.items)), batch.counts.to(table)
        loss = scores.logsumexp(1)
        loss = loss.index_add(0, owner, -scores[owner, batch.items] / length[owner])
        own = torch.zeros_like(scores).index_put_((owner, batch.items), weights)
        toward = scores.softmax(1)
        toward[owner, batch.items] -= 1 / length[owner]
        back = toward @ table
        if self.spec.training.per_client(task.aggregation):
            each = toward[:, :, None] * users[:, None] + own[:, :, None] * back[:, None]
            count = torch.ones_like(length)[:, None]
            return Update({GRADIENT: each.flatten(1), COUNT: count}, loss)
        total = toward.T @ users + own.T @ back
        count = length.new_full((1,), len(batch))
        return Update({GRADIENT: total.flatten(), COUNT: count}, loss, summed=True)

    def collect(self, state: State, sums: Summed, round_number: int) -> State:
        """See `Part.collect`: a step of Adam along the mean gradient."""
        if GRADIENT not in sums:
            return state
        return ADAM.stepped(state, sums[GRADIENT] / sums[COUNT].clamp(min=1), ITEMS)

    def shared(self, state: State) -> State:
        """See `Part.shared`: the running mean."""
        return {ITEMS: state[f"{ITEMS}.mean"]}

    def scores(self, shared: State, inputs: ClientBatch) -> tuple[Scorer]:
        """See `Part.scores`."""
        table = self._table(shared)
        weights = _weights(inputs, shared[COUNTS])
        return (lambda: propagate(inputs.ptr, inputs.items, weights, table) @ table.T,)

    def is_feasible(self, arrays: State, setting: Setting, round_number: int) -> bool:
        """See `Part.is_feasible`: a client counts once."""
        return COUNT not in arrays or bool((arrays[COUNT] == 1).all())

    def matrices(self, shared: State) -> tuple[Matrix, ...]:
        """Where the gradient holds matrices: it is one."""
        return ((0, len(shared[ITEMS]) // self.spec.dim, self.spec.dim),)

    def item_views(self, arrays: State, setting: Setting, round_number: int) -> State:
        """See `Part.item_views`: vectors, or their gradient, by item."""
        packed = ITEMS if ITEMS in arrays else GRADIENT
        if packed not in arrays:
            return arrays
        rest = {name: value for name, value in arrays.items() if name != packed}
        return rest | {GRADIENT: arrays[packed].unflatten(-1, (setting.items, self.spec.dim))}

    def _table(self, shared: State) -> Tensor:
        """Float ``[items, dim]``."""
        return shared[ITEMS].view(-1, self.spec.dim)


def _weights(batch: ClientBatch, counts: Tensor) -> Tensor:
    """1 / sqrt(n d) of each interaction."""
    length = batch.counts.repeat_interleave(batch.counts)
    return (length * counts[batch.items].clamp(min=1)).rsqrt()
