"""UFGraphFormer under a privacy budget: what the budget affords of its parts.

Round 1, popularity: each client adds the same to each of its last items, at one length for all.
Round 2, the item graph, where clients are many against the noise: each client sends once which
items followed which among the most popular, an array of L2 length 1.
Where a client may release a few numbers only (local privacy), it sends the mean of the public
features of its last items instead, and popularity is what a softmax on those features makes of it.
Everything personal stays on the device and is free: the head, a softmax regression of the own
history on public item features (and on popularity), and the propagation of that history over the
noised graph and over a public one, of items whose texts are alike. Where clients are very many, or
where it is asked for, further rounds train a Transformer (`_private_transformer`) on top of what
has been released.
"""

import torch
from torch import Tensor

from ufgraphfr.algorithms._private_spec import (
    GRAPH,
    POPULARITY,
    TASTE,
    TRANSFORMER,
    TYPICAL,
    PrivateSpec,
)
from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.core.arrays.sparse_rows import Rows, owners
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Private, Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.blend import standardised
from ufgraphfr.ops.item_graph import followed, normalised
from ufgraphfr.ops.public_items import closeness, item_columns, kindred, narrowed, titles
from ufgraphfr.ops.recency import recency
from ufgraphfr.ops.taste import tastes


class PrivateForm(PrivateSpec):
    """The model; its hyper-parameters are those of `PrivateSpec`."""

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        size = self.graph_items or 0
        state = {
            "counts": torch.zeros(setting.items),
            "columns": item_columns(setting.items, setting.features, setting.item_text),
            "titles": titles(setting.items, setting.item_text),
            "kept": torch.arange(size),
            "next": torch.zeros(size, size),
        }
        return state | (self.sequence.initial(setting) if self.sequence else {})

    def init_private(self, setting: Setting, shard: ClientBatch) -> Private:
        """See `Algorithm.init_private`; nothing is kept between rounds."""
        return {}

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`: which items the graph links, or the Transformer's weights."""
        shared = {}
        if self.sequence and not self.asks_all_clients(round_number):
            shared = self.sequence.shared(state, "net")
        elif self.numbers:
            shared = {"basis": narrowed(state["columns"], self.numbers)}
        elif round_number > 1:
            shared = {"kept": state["kept"]}
        lasting = frozenset(shared) - {"net"}
        return Task(round_number, clients, shared, {}, lasting)

    def evaluated(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.evaluated`: all that a device needs to rank."""
        shared = {name: state[name] for name in ("counts", "columns", "titles", "kept", "next")}
        if self.sequence:
            shared |= self.sequence.shared(state, "net.mean")
        return Task(round_number, clients, shared, {})

    def local(
        self, task: Task, shard: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`."""
        no_loss = torch.zeros(len(shard), device=shard.items.device)
        if self.sequence and "net" in task.shared:
            gradients = self.sequence.gradients(task.shared, shard, key)
            return Update({TRANSFORMER: gradients}, no_loss), private
        if "basis" in task.shared:
            return Update({TASTE: self._mean_taste(shard, task.shared["basis"])}, no_loss), private
        if "kept" not in task.shared:
            return Update({POPULARITY: self._counts(shard)}, no_loss), private
        return Update({GRAPH: self._transitions(shard, task.shared["kept"])}, no_loss), private

    def _mean_taste(self, shard: ClientBatch, basis: Tensor) -> Tensor:
        """The mean of the public features of a client's last items, float ``[clients, width]``."""
        last, length = shard.last(self.counted)
        rows = torch.where((last >= 0)[..., None], basis[last.clamp(min=0)], 0.0)
        return rows.sum(1) / length.clamp(min=1)[:, None]

    def _counts(self, shard: ClientBatch) -> Rows:
        """The same for each of a client's last items, of length sqrt(`TYPICAL`) together."""
        last, length = shard.last(self.counted)
        each = (TYPICAL / length.clamp(min=1)).sqrt().repeat_interleave(length)
        return Rows(_pointer(length), last[last >= 0], each[:, None], shard.catalogue)

    def _transitions(self, shard: ClientBatch, kept: Tensor) -> Rows:
        """What followed what among the kept items, at length 1."""
        place = torch.full((shard.catalogue,), -1, device=kept.device)
        place[kept] = torch.arange(len(kept), device=kept.device)
        last, _ = shard.last(self.places)
        recent = torch.where(last >= 0, place[last.clamp(min=0)], -1)
        owner, before, after, weight = followed(recent, self.gaps)
        square = weight.new_zeros(len(shard)).index_add_(0, owner, weight.square())
        values = weight / square[owner].sqrt()
        pointer = _pointer(torch.bincount(owner, minlength=len(shard)))
        return Rows(pointer, before * len(kept) + after, values[:, None], len(kept) ** 2)

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        sums = report.sums
        if self.sequence and TRANSFORMER in sums:
            mean = sums[TRANSFORMER] / max(1, len(report.clients))
            return self.sequence.stepped(state, mean)
        state = self._counted(state, sums, report)
        if self.sequence and report.round == len(self.once):
            state = self.sequence.informed(state, self._offset(state["counts"]))
        return state

    def _counted(self, state: State, sums: dict[str, Tensor], report: Report) -> State:
        """The memory after a part that everybody sends once."""
        if POPULARITY in sums:
            counts = sums[POPULARITY][:, 0]
            kept = counts.topk(self.graph_items or 0).indices.sort().values
            return state | {"counts": counts, "kept": kept}
        if TASTE in sums:
            return state | {"counts": self._inferred(state["columns"], sums[TASTE], report)}
        size = len(state["kept"])
        found = sums[GRAPH].view(size, size) - self.threshold * self.std(GRAPH)
        total = state["counts"][state["kept"]]
        return state | {"next": normalised(found.clamp(min=0), total, self.shrink)}

    def _inferred(self, columns: Tensor, total: Tensor, report: Report) -> Tensor:
        """Counts that a softmax on public features makes of everybody's mean features."""
        basis, clients = narrowed(columns, total.shape[0]), len(report.clients)
        even = basis.new_zeros(len(basis))
        # the mean is known to 1 / signal: so many observations of it
        seen = basis.new_full((1,), self.signal)
        weights = tastes(basis, even, total[None] / clients * self.signal, seen, 1.0)
        chance: Tensor = torch.softmax(basis @ weights[0], 0)
        return chance * clients * TYPICAL

    def _offset(self, counts: Tensor) -> Tensor:
        """Log popularity, float ``[items]``."""
        # noise lifts the rarest items; counts below it tell nothing apart
        return (counts.clamp(min=0) + max(1.0, self.std(POPULARITY))).log()

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        shared = task.shared
        offset = self._offset(shared["counts"])
        scores = offset.expand(len(inputs), -1)
        if self.head:
            scores = offset + self._taste(shared["columns"], offset, inputs)
        scores = standardised(scores)
        if self.head and shared["titles"].shape[1]:
            alike = kindred(_written(inputs, self.graph_decay), shared["titles"])
            scores = scores + self.akin * standardised(alike)
        if self.graph_items:
            history = _written(inputs, self.graph_decay)[:, shared["kept"]]
            linked = torch.zeros_like(scores)
            linked[:, shared["kept"]] = history @ shared["next"]
            scores = scores + (self.graph_weight or 0.0) * standardised(linked)
        if self.sequence:
            following = standardised(self.sequence.scores(shared, inputs))
            scores = scores + self.sequence.weight * following
        return scores

    def _taste(self, columns: Tensor, offset: Tensor, inputs: ClientBatch) -> Tensor:
        features = torch.cat((columns, closeness(offset)), 1)
        history = _written(inputs, self.decay)
        weights = tastes(features, offset, history @ features, history.sum(1), self.ridge)
        return weights @ features.T


def _written(inputs: ClientBatch, decay: float) -> Tensor:
    """Each client's history, weighted by recency, float ``[clients, items]``."""
    history = torch.zeros(len(inputs), inputs.catalogue, device=inputs.items.device)
    owner = owners(inputs.ptr, len(inputs.items))
    history[owner, inputs.items] = recency(inputs.ptr, decay).float()
    return history


def _pointer(lengths: Tensor) -> Tensor:
    pointer = torch.zeros(len(lengths) + 1, dtype=torch.int64, device=lengths.device)
    torch.cumsum(lengths, 0, out=pointer[1:])
    return pointer
