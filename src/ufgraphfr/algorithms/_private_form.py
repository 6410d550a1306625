"""UFGraphFormer under a privacy budget: what the budget affords of its parts.

Round 1, popularity: each client adds 1 to each of its last items.
Round 2, the item graph, where clients are many against the noise: each client sends once which
items followed which among the most popular, an array of L2 length 1.
Where a client may release a few numbers only (local privacy), it sends the mean of the public
features of its last items instead, and popularity is what a softmax on those features makes of it.
Everything personal stays on the device and is free: the head, a softmax regression of the own
history on public item features (and on popularity), and the propagation of that history over the
graph. There is no Transformer: its gradients have a hundred thousand numbers, each of which would
get the noise that one number of the graph gets.
"""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting, Update
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Private, Report, State, Task
from ufgraphfr.core.releases import Budget, Release
from ufgraphfr.core.rows import Rows, owners
from ufgraphfr.data.shards import Shard
from ufgraphfr.ops.blend import standardised
from ufgraphfr.ops.item_graph import followed, normalised
from ufgraphfr.ops.public_items import closeness, item_columns, narrowed
from ufgraphfr.ops.recency import recency
from ufgraphfr.ops.taste import tastes

POPULARITY, GRAPH, TASTE = "popularity", "graph", "taste"
LEAST_SIGNAL = 400.0
"""Clients over noise from which on the graph is worth its share of the budget."""
LEAST_ITEMS = 100
"""Of a graph."""
SIGNAL_PER_ITEM = 8.0
"""What one more item of the graph needs."""


class PrivateForm(Algorithm):
    """Hyper-parameters of the private form; the ``[algorithm.private]`` table."""

    kind: ClassVar[str] = "ufgraphformer"
    release: ClassVar[Literal["sum", "per-client"]] = "sum"

    counted: int = Field(40, ge=1)
    """Last items of a client that popularity counts."""
    places: int = Field(200, ge=2)
    """Last items of a client that the graph sees."""
    gaps: int = Field(8, ge=1)
    """The farthest distance between two items that counts as a transition."""
    graph_items: int | None = Field(None, ge=0)
    """The most popular items that the graph links, 0 for no graph; None lets the budget decide."""
    graph_share: float | None = Field(None, gt=0, lt=1)
    """Of the budget, where there is a graph; None lets the budget decide."""
    graph_weight: float | None = Field(None, ge=0)
    """Of the graph's scores relative to the head's; None lets the budget decide."""
    threshold: float = Field(0.5, ge=0)
    """Standard deviations of noise that every transition is lowered by."""
    shrink: float = Field(20.0, ge=0)
    """Pulls transitions between rare items to zero."""
    graph_decay: float = Field(0.8, gt=0, le=1)
    """Weight of a history item relative to the next one, on the graph."""
    head: bool = True
    """Whether devices fit their own taste; without it and the graph, DP popularity is left."""
    ridge: float = Field(1.0, gt=0)
    """Pulls a taste to none."""
    decay: float = Field(0.9, gt=0, le=1)
    """Weight of a history item relative to the next one, in the taste."""
    numbers: int | None = Field(None, ge=1)
    """That a client may release at most; set by the budget."""
    signal: float = Field(0.0, ge=0)
    """Clients over the noise of a whole budget; set by the budget."""
    noise: float = Field(0.0, ge=0)
    """Standard deviation of a release of length 1 that spends everything; set by the budget."""

    def chosen(self, budget: Budget, setting: Setting) -> "PrivateForm":
        """The parts that a budget affords, for so many clients and items."""
        signal = budget.clients / budget.noise
        items, share = self.graph_items, budget.shares.get(GRAPH, self.graph_share)
        if items is None:
            affordable = max(LEAST_ITEMS, round(signal / SIGNAL_PER_ITEM))
            items = affordable if signal >= LEAST_SIGNAL and budget.most is None else 0
        share = 1 - min(0.75, max(0.1, 350 / signal)) if share is None else share
        # of the graph: .1 where it has just become affordable, .2 where it is clear
        weight = 0.2 * min(1.0, signal * math.sqrt(share) / 1e4) ** (1 / 3)
        found = {
            "graph_items": min(setting.items, items),
            "graph_share": share,
            "graph_weight": weight if self.graph_weight is None else self.graph_weight,
            "numbers": budget.most,
            "signal": signal,
            "noise": budget.noise,
        }
        return self.model_copy(update=found)

    def explained(self) -> tuple[str, ...]:
        """See `Algorithm.explained`."""
        ratio = f"{self.signal:,.0f} clients for each unit of noise"
        popularity = f"popularity: the last {self.counted} items of each user; always affordable"
        if self.numbers:
            popularity = (
                f"taste: the mean of {self.numbers} public features over each user's last "
                f"{self.counted} items, from which popularity is inferred; no more can be sent"
            )
            graph = "graph: left out, it has too many numbers"
        elif not self.graph_items:
            graph = f"graph: left out, {ratio} are fewer than the {LEAST_SIGNAL:,.0f} it needs"
        else:
            graph = (
                f"graph: transitions among the {self.graph_items:,} most popular items, with "
                f"{self._shares[GRAPH]:.0%} of the budget: {ratio} carry one item for every "
                f"{SIGNAL_PER_ITEM:g}, at least {LEAST_ITEMS}"
            )
        return (
            popularity,
            graph,
            "head and propagation of the own history: on the device, free",
            "Transformer: left out, its gradients would drown in noise at this number of users",
        )

    @property
    def _shares(self) -> dict[str, float]:
        if self.numbers:
            return {TASTE: 1.0}
        if not self.graph_items or self.graph_share is None:
            return {POPULARITY: 1.0}
        return {POPULARITY: 1 - self.graph_share, GRAPH: self.graph_share}

    def releases(self, rounds: int) -> tuple[Release, ...]:
        """See `Algorithm.releases`: one part a round, bounded by construction."""
        norms = {POPULARITY: math.sqrt(self.counted), GRAPH: 1.0, TASTE: 1.0}
        return tuple(
            Release(part, place, place, norms[part], share)
            for place, (part, share) in enumerate(self._shares.items(), start=1)
        )

    def everyone(self, round_number: int) -> bool:
        """See `Algorithm.everyone`: each part is asked of everybody, once."""
        return True

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        size = self.graph_items or 0
        return {
            "counts": torch.zeros(setting.items),
            "columns": item_columns(setting.items, setting.features, setting.item_text),
            "kept": torch.arange(size),
            "next": torch.zeros(size, size),
        }

    def init_private(self, setting: Setting, shard: Shard) -> Private:
        """See `Algorithm.init_private`; nothing is kept between rounds."""
        return {}

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`: which items the graph links."""
        shared = {}
        if self.numbers:
            shared = {"basis": narrowed(state["columns"], self.numbers)}
        elif round_number > 1:
            shared = {"kept": state["kept"]}
        return Task(round_number, clients, shared, {})

    def evaluated(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.evaluated`: all that a device needs to rank."""
        return Task(round_number, clients, dict(state), {})

    def local(self, task: Task, shard: Shard, private: Private, key: Key) -> tuple[Update, Private]:
        """See `Algorithm.local`."""
        no_loss = torch.zeros(len(shard), device=shard.items.device)
        if "basis" in task.shared:
            return Update({TASTE: self._mean_taste(shard, task.shared["basis"])}, no_loss), private
        if "kept" not in task.shared:
            return Update({POPULARITY: self._counts(shard)}, no_loss), private
        return Update({GRAPH: self._transitions(shard, task.shared["kept"])}, no_loss), private

    def _mean_taste(self, shard: Shard, basis: Tensor) -> Tensor:
        """The mean of the public features of a client's last items, float ``[clients, width]``."""
        last, length = shard.last(self.counted)
        rows = torch.where((last >= 0)[..., None], basis[last.clamp(min=0)], 0.0)
        return rows.sum(1) / length.clamp(min=1)[:, None]

    def _counts(self, shard: Shard) -> Rows:
        """1 for each of a client's last items."""
        last, length = shard.last(self.counted)
        index = last[last >= 0]
        return Rows(_pointer(length), index, torch.ones(len(index), 1), shard.catalogue)

    def _transitions(self, shard: Shard, kept: Tensor) -> Rows:
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
        sums = {name: value for name, value in report.arrays.items() if isinstance(value, Tensor)}
        if POPULARITY in sums:
            counts = sums[POPULARITY][:, 0]
            kept = counts.topk(self.graph_items or 0).indices.sort().values
            return state | {"counts": counts, "kept": kept}
        if TASTE in sums:
            return state | {"counts": self._inferred(state["columns"], sums[TASTE], report)}
        size = len(state["kept"])
        found = sums[GRAPH].view(size, size) - self.threshold * self._std(GRAPH)
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
        return chance * clients * self.counted

    def _std(self, part: str) -> float:
        """Standard deviation of the noise on one number of a part's sum."""
        norm = math.sqrt(self.counted) if part == POPULARITY else 1.0
        return self.noise * norm / math.sqrt(self._shares[part]) if part in self._shares else 0.0

    def score(self, task: Task, inputs: Shard, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        shared = task.shared
        # noise lifts the rarest items; counts below it tell nothing apart
        offset = (shared["counts"].clamp(min=0) + max(1.0, self._std(POPULARITY))).log()
        scores = offset.expand(len(inputs), -1)
        if self.head:
            scores = offset + self._taste(shared["columns"], offset, inputs)
        scores = standardised(scores)
        if not self.graph_items:
            return scores
        history = _written(inputs, self.graph_decay)[:, shared["kept"]]
        linked = torch.zeros_like(scores)
        linked[:, shared["kept"]] = history @ shared["next"]
        return scores + (self.graph_weight or 0.0) * standardised(linked)

    def _taste(self, columns: Tensor, offset: Tensor, inputs: Shard) -> Tensor:
        features = torch.cat((columns, closeness(offset)), 1)
        history = _written(inputs, self.decay)
        weights = tastes(features, offset, history @ features, history.sum(1), self.ridge)
        return weights @ features.T


def _written(inputs: Shard, decay: float) -> Tensor:
    """Each client's history, weighted by recency, float ``[clients, items]``."""
    history = torch.zeros(len(inputs), inputs.catalogue, device=inputs.items.device)
    owner = owners(inputs.ptr, len(inputs.items))
    history[owner, inputs.items] = recency(inputs.ptr, decay).float()
    return history


def _pointer(lengths: Tensor) -> Tensor:
    pointer = torch.zeros(len(lengths) + 1, dtype=torch.int64, device=lengths.device)
    torch.cumsum(lengths, 0, out=pointer[1:])
    return pointer
