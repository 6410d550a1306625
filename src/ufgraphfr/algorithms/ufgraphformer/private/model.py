"""UFGraphFormer under a privacy budget: what the budget affords of its parts.

Round 1, popularity: each client adds the same to each of its last items, at one length for all.
Round 2, the item graph, where clients are many against the noise: each client sends once which
items followed which among the most popular, rarer ones counting more, an array of L2 length 1.
Where a client may release a few numbers only (local privacy), it sends the mean of the public
features of its last items instead, and popularity is what a softmax on those features makes of it.
Last round, the profile, where the values that profiles may take are declared: what users have by
the sentences about them (`private.profile`).
Everything personal stays on the device and is free: the head, a softmax regression of the own
history on public item features (and on popularity), and the propagation of that history over the
noised graph and over a public one, of items whose texts are alike.
"""

from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting, Update
from ufgraphfr.algorithms.ufgraphformer.on_device.feature_head import RIDGE, preference
from ufgraphfr.algorithms.ufgraphformer.on_device.softmax_regression import SoftmaxRegression
from ufgraphfr.algorithms.ufgraphformer.private.config import PrivateSpec
from ufgraphfr.algorithms.ufgraphformer.private.plan import (
    GRAPH,
    POPULARITY,
    PREFERENCE,
    PROFILE,
    TYPICAL,
    Plan,
)
from ufgraphfr.algorithms.ufgraphformer.private.profile import (
    ITEMS,
    PRIOR,
    lift_map,
    log_lift,
    public_basis,
    told,
)
from ufgraphfr.algorithms.ufgraphformer.private.public_items import (
    item_columns,
    narrowed,
    popularity_levels,
    text_similarity,
    titles,
)
from ufgraphfr.algorithms.ufgraphformer.private.transitions import (
    beyond_chance,
    pairs_of,
    transitions_of,
)
from ufgraphfr.core.arrays.memo import memo
from ufgraphfr.core.arrays.sparse_rows import Rows, owners, pointers
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.core.releases import Release
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.blend import standardised

REACH = 8
"""The farthest distance between two items that counts as a transition; as in the recorded runs."""
PAIRED = 200
"""Items of a client whose pairs count, where there is no order."""
LINK_BYTES, CLIENT_BYTES = 128, 2048
"""Of a transition or a pair, and of a client, while it is clipped and added up."""
SHRINK = 20.0
"""Pulls transitions between rare items to zero, on which noise falls as on others."""
TEXT_DECAY = 0.8
"""Weight of a history item relative to the next one, on the texts."""
TEXT_WEIGHT = 0.05
"""Of the items whose texts are like the history's, relative to the preference."""


class PrivateForm(Algorithm):
    """The model: hyper-parameters, and what the budget made of them."""

    kind: ClassVar[str] = "ufgraphformer"
    aggregation: ClassVar[Aggregation] = Aggregation.SUM

    spec: PrivateSpec = PrivateSpec()
    """What a person has set of it."""
    plan: Plan = Plan()
    """What the budget affords."""

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        size, described = self.plan.graph_items, 0
        basis = torch.zeros(1 + setting.text_width, 0)
        if self.plan.directions and setting.profiles is not None:
            described = min(ITEMS, setting.items)
            basis = public_basis(setting.profiles, self.plan.directions)
        return {
            "counts": torch.zeros(setting.items),
            "columns": item_columns(setting.items, setting.features, setting.item_text),
            "titles": titles(setting.items, setting.item_text),
            "kept": torch.arange(size),
            "damping": torch.ones(size),
            "next": torch.zeros(size, size),
            "described": torch.arange(described),
            "directions": basis,
            "map": torch.zeros(1 + basis.shape[1], described),
        }

    def init_private(self, setting: Setting, batch: ClientBatch) -> Private:
        """See `Algorithm.init_private`; nothing is kept between rounds."""
        return {}

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`: which items count in the part whose turn it is, and how."""
        shared, part = {}, self.plan.part(round_number)
        if part == PREFERENCE:
            shared = {"basis": narrowed(state["columns"], self.plan.numbers or 0)}
        elif part == GRAPH:
            shared = {name: state[name] for name in ("kept", "damping")}
        elif part == PROFILE:
            shared = {name: state[name] for name in ("described", "directions")}
        return Task(round_number, clients, shared, {}, frozenset(shared))

    def scoring_task(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `capabilities.ScoringTask`: all that a device needs to rank."""
        shared = {name: value for name, value in state.items() if name != "damping"}
        return Task(round_number, clients, shared, {})

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`."""
        name, value = self._contribution(task.shared, batch)
        no_loss = torch.zeros(len(batch), device=batch.items.device)
        return Update({name: value}, no_loss), private

    def _contribution(self, shared: State, batch: ClientBatch) -> tuple[str, Tensor | Rows]:
        """The part that a task asks for, and each client's own share of it."""
        if "basis" in shared:
            return PREFERENCE, self._mean_features(batch, shared["basis"])
        if "described" in shared:
            return PROFILE, told(batch, shared["described"], shared["directions"])
        if "kept" in shared:
            last, _ = batch.last(self.spec.linked)
            among = last, shared["kept"], shared["damping"], batch.n_items
            if self.plan.ordered:
                return GRAPH, transitions_of(*among, REACH)
            return GRAPH, pairs_of(*among, PAIRED)
        return POPULARITY, self._counts(batch)

    def _mean_features(self, batch: ClientBatch, basis: Tensor) -> Tensor:
        """The mean of the public features of a client's last items, float ``[clients, width]``."""
        last, length = batch.last(self.spec.history)
        rows = torch.where((last >= 0)[..., None], basis[last.clamp(min=0)], 0.0)
        return rows.sum(1) / length.clamp(min=1)[:, None]

    def _counts(self, batch: ClientBatch) -> Rows:
        """The same for each of a client's last items, of length sqrt(`TYPICAL`) together."""
        last, length = batch.last(self.spec.history)
        each = (TYPICAL / length.clamp(min=1)).sqrt().repeat_interleave(length)
        return Rows(pointers(length), last[last >= 0], each[:, None], batch.n_items)

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        sums = report.sums
        if POPULARITY in sums:
            counts = sums[POPULARITY][:, 0]
            kept, described = (
                counts.topk(len(state[name])).indices.sort().values
                for name in ("kept", "described")
            )
            return state | {
                "counts": counts,
                "kept": kept,
                "described": described,
                "damping": _damping(counts[kept]),
            }
        if PROFILE in sums:
            rank, std = state["directions"].shape[1], self.plan.std(PROFILE)
            return state | {"map": lift_map(sums[PROFILE], len(report.clients), rank, std)}
        if PREFERENCE in sums:
            return state | {"counts": self._inferred(state["columns"], sums[PREFERENCE], report)}
        size = len(state["kept"])
        links = sums[GRAPH].view(size, size)
        if not self.plan.ordered:
            # a pair is one number, whichever way it is read; below are none, and noise
            links = links.triu(1) + links.triu(1).T
        links = beyond_chance(links)
        damping = state["damping"]
        return state | {"next": damping[:, None] * links * damping}

    def _inferred(self, columns: Tensor, total: Tensor, report: Report) -> Tensor:
        """Counts that a softmax on public features makes of everybody's mean features."""
        basis, clients = narrowed(columns, total.shape[0]), len(report.clients)
        even = basis.new_zeros(len(basis))
        # the mean is known to 1 / signal: so many observations of it
        signal = basis.new_full((1,), self.plan.signal)
        wanted = total[None] / clients * self.plan.signal
        weights = SoftmaxRegression.of(basis, even).fit(wanted, signal, RIDGE)
        chance: Tensor = torch.softmax(basis @ weights[0], 0)
        return chance * clients * TYPICAL

    def _offset(self, counts: Tensor) -> Tensor:
        """Log popularity, float ``[items]``."""
        return _log_popularity(counts, self.plan.std(POPULARITY))

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        return reduce(torch.add, self._added(task.shared, inputs).values())

    def contributions(
        self, setting: Setting, task: Task, inputs: ClientBatch, private: Private
    ) -> dict[str, Tensor]:
        """See `capabilities.Explained`."""
        return self._added(task.shared, inputs)

    def _added(self, shared: State, inputs: ClientBatch) -> dict[str, Tensor]:
        """What each part adds to the scores."""
        plan = self.plan
        offset = self._offset(shared["counts"])
        scores = offset.expand(len(inputs), -1)
        if self.spec.head:
            about = shared["columns"], shared["counts"], plan.std(POPULARITY)
            scores = offset + preference(*_described(*about), inputs)
        if plan.directions:
            lift = log_lift(inputs.text, shared["directions"], shared["map"])
            unknown = PRIOR / (PRIOR + inputs.counts)[:, None]
            scores = scores.index_add(1, shared["described"], unknown * lift)
        added = {"features" if self.spec.head else "popularity": standardised(scores)}
        if self.spec.head and shared["titles"].shape[1]:
            alike = text_similarity(_weighted_histories(inputs, TEXT_DECAY), shared["titles"])
            added["titles"] = TEXT_WEIGHT * standardised(alike)
        if plan.graph_items:
            for name, decay in plan.graph_views.items():
                history = _weighted_histories(inputs, decay)[:, shared["kept"]]
                linked = torch.zeros_like(scores)
                linked[:, shared["kept"]] = history @ shared["next"]
                weight = plan.graph_weight / len(plan.graph_views)
                added[name] = weight * standardised(linked)
        return added

    def asks_all_clients(self, round_number: int) -> bool:
        """See `capabilities.AsksAllClients`: everybody is asked for each part, once."""
        return round_number <= len(self.plan.once)

    def stacked_bytes(self, counts: Tensor, items: int, round_number: int) -> Tensor | None:
        """See `capabilities.Stackable`: each stack adds an array of all pairs to the graph."""
        if self.plan.part(round_number) != GRAPH:
            return None
        links = REACH * counts.clamp(max=self.spec.linked)
        if not self.plan.ordered:
            links = counts.clamp(max=PAIRED).square()
        return LINK_BYTES * links + CLIENT_BYTES

    def releases(self, rounds: int) -> tuple[Release, ...]:
        """See `capabilities.PlansReleases`."""
        return self.plan.releases()

    def rationale(self) -> tuple[str, ...]:
        """See `capabilities.PlansReleases`."""
        return self.plan.rationale()


def _damping(counts: Tensor) -> Tensor:
    """What each item counts for in a transition, once on the device and once more in the scores.

    On the device it leaves transitions between rarer items more of a client's fixed length.
    """
    return (counts.clamp(min=0) + SHRINK) ** -0.25


def _log_popularity(counts: Tensor, std: float) -> Tensor:
    # noise lifts the rarest items; counts below it tell nothing apart
    return (counts.clamp(min=0) + max(1.0, std)).log()


@memo
def _described(columns: Tensor, counts: Tensor, std: float) -> tuple[Tensor, SoftmaxRegression]:
    """Public features and levels of popularity, and how a user's liking of them is found."""
    offset = _log_popularity(counts, std)
    features = torch.cat((columns, popularity_levels(offset)), 1)
    return features, SoftmaxRegression.of(features, offset)


def _weighted_histories(inputs: ClientBatch, decay: float) -> Tensor:
    """Each client's history, weighted by recency, float ``[clients, items]``."""
    history = torch.zeros(len(inputs), inputs.n_items, device=inputs.items.device)
    owner = owners(inputs.ptr, len(inputs.items))
    history[owner, inputs.items] = inputs.recency(decay).float()
    return history
