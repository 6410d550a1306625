"""UFGraphFormer: a list of parts, and their blend.

In the first rounds every client contributes to the item graph (`graph.part`). The server takes the
Transformer's first item vectors from the graph's spectrum; after that each round asks a cohort to
train the Transformer (`sequence.part`) and a LightGCN (`light`). A device scores with the graph's
operators, these two, a head of its own on public item features (`on_device.feature_head`) and what
users with like texts have (`graph.profile`), each standardised over the catalogue, and adds them
with coefficients that were fitted on the devices (`ops.fusion`); where little is known of its user,
what others have speaks too (`on_device.cold_users`). Under a privacy budget the model takes another
form (`private.model`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting, Update
from ufgraphfr.algorithms.ufgraphformer.adaptive import KEYS, rule
from ufgraphfr.algorithms.ufgraphformer.config import FlagshipSpec
from ufgraphfr.algorithms.ufgraphformer.graph.part import ItemGraph
from ufgraphfr.algorithms.ufgraphformer.graph.profile import Profile
from ufgraphfr.algorithms.ufgraphformer.light import GRADIENT, Light
from ufgraphfr.algorithms.ufgraphformer.on_device.cold_items import ColdItems
from ufgraphfr.algorithms.ufgraphformer.on_device.cold_users import ColdUsers
from ufgraphfr.algorithms.ufgraphformer.on_device.feature_head import FeatureHead
from ufgraphfr.algorithms.ufgraphformer.part import Part
from ufgraphfr.algorithms.ufgraphformer.private.config import PrivateSpec
from ufgraphfr.algorithms.ufgraphformer.private.model import PrivateForm
from ufgraphfr.algorithms.ufgraphformer.private.plan import plan_for
from ufgraphfr.algorithms.ufgraphformer.sequence.part import Sequence
from ufgraphfr.core.arrays.protocol import Matrix
from ufgraphfr.core.derived import DataFacts, Derived
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.core.releases import Budget
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.bends import bent, sets_of, unbent
from ufgraphfr.ops.blend import coefficients, weighted
from ufgraphfr.ops.fusion import Scorer, squashed


@final
class UFGraphFormer(Algorithm, FlagshipSpec):
    """The model; its keys are those of `FlagshipSpec`."""

    aggregation: ClassVar[Aggregation] = Aggregation.SUM
    derived_keys: ClassVar[frozenset[str]] = KEYS

    @property
    def item_graph(self) -> ItemGraph | None:
        """The graph, if it is on."""
        return ItemGraph(self.graph) if self.graph is not False else None

    @property
    def sequence(self) -> Sequence | None:
        """The Transformer, if it is on."""
        return Sequence(self, self.item_graph) if self.transformer else None

    @property
    def light(self) -> Light | None:
        """The LightGCN, if it is on and there are rounds to train it, and a graph."""
        on = self.lightgcn and self.transformer and self.graph is not False
        return Light(self) if on else None

    @property
    def first_items(self) -> ColdUsers | None:
        """What cold users are served from, if it is on."""
        if self.graph is False or self.cold_users is False:
            return None
        return ColdUsers(self.cold_users)

    @property
    def active_parts(self) -> list[Part]:
        """The parts that are on, in the order in which they are asked."""
        graph, active = self.item_graph, list[Part]()
        if graph is not None:
            active += [graph, *([FeatureHead()] if self.head else [])]
        if self.sequence is not None:
            active.append(self.sequence)
        if self.light is not None:
            active.append(self.light)
        if graph is not None and self.text and self.profile is not False:
            active.append(Profile(self.profile))
        if self.first_items is not None:
            active.append(self.first_items)
        if self.cold_items is not None:
            active.append(ColdItems(self.cold_items))
        return active

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        features = torch.zeros(setting.items, 0) if setting.features is None else setting.features
        state: State = {
            "blend": self.fixed_blends(setting)[0],
            "features": features,
            "ordered": torch.tensor(setting.sequential),
        }
        for part in self.active_parts:
            state |= part.state(setting)
        return state

    def warm_start(self, fresh: State, before: State) -> State:
        """See `capabilities.WarmStart`: what is trained; the graph's sums are counted anew."""
        names = frozenset({"blend"}).union(*(part.trained() for part in self.active_parts))
        return fresh | {name: before[name] for name in names}

    def init_private(self, setting: Setting, batch: ClientBatch) -> Private:
        """See `Algorithm.init_private`; all weights are shared."""
        return {}

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`: nothing for the graph, then the Transformer's weights."""
        if self.asks_all_clients(round_number) or self.sequence is None:
            return Task(round_number, clients, {"ordered": state["ordered"]}, {})
        sent, constant = self.sequence.message(state)
        if self.light is not None:
            sent |= self.light.message(state)
        return Task(round_number, clients, sent, {}, constant)

    def scoring_task(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `capabilities.ScoringTask`: all that a device needs to rank."""
        shared = {name: state[name] for name in ("blend", "features")}
        for part in self.active_parts:
            shared |= part.shared(state)
        return Task(round_number, clients, shared, {})

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`: what the parts contribute, whose rounds do not mix."""
        contributions = [part.contribution(task, batch, key) for part in self.active_parts]
        updates = [update for update in contributions if update is not None]
        if not updates:
            no_loss = torch.zeros(len(batch), device=batch.items.device)
            return Update({}, no_loss, summed=True), private
        arrays = {name: value for update in updates for name, value in update.arrays.items()}
        return Update(arrays, updates[0].loss, updates[0].summed), private

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        sums = report.taken()
        for part in self.active_parts:
            state = part.collect(state, sums, report.round)
        return state

    def parts(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `capabilities.Blended`: each part's scores, standardised, with lighter tails."""
        return squashed(*self._views(task, inputs), squash=self.squash)

    def _views(self, task: Task, inputs: ClientBatch) -> Iterator[Iterable[Scorer]]:
        """Of each part."""
        return (part.scores(task.shared, inputs) for part in self.active_parts)

    def part_names(self, setting: Setting) -> tuple[str, ...]:
        """See `capabilities.Blended`."""
        return tuple(name for part in self.active_parts for name in part.names(setting))

    def blended(self, task: Task, inputs: ClientBatch, parts: Tensor, weights: Tensor) -> Tensor:
        """See `capabilities.Blended`; cold users and cold items have the last word."""
        fused = weighted(parts, self._weights(weights, len(parts), inputs))
        if self.first_items is not None:
            prior = weights[..., -1]
            fused = self.first_items.mixed(fused, task.shared, inputs, prior)
        for part in self.active_parts:
            fused = part.finished(fused, task.shared)
        return fused

    def _weights(self, blend: Tensor, parts: int, inputs: ClientBatch) -> Tensor:
        """Of the parts, ``[choices, clients, parts]``, from ``[choices, clients, blend]``."""
        return bent(coefficients(blend, self.priors), parts, inputs.counts, inputs.away)

    @property
    def sets(self) -> int:
        """How many weights each part has, see `ops.bends`."""
        return sets_of(self.history_length, self.absence)

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        blend = task.shared["blend"]
        # what has no weight is not worked out
        used = (coefficients(blend, self.priors).view(self.sets, -1) != 0).any(0)
        parts = squashed(*self._views(task, inputs), squash=self.squash, used=used)
        return self.blended(task, inputs, parts, blend.expand(1, len(inputs), -1))[0]

    def contributions(
        self, setting: Setting, task: Task, inputs: ClientBatch, private: Private
    ) -> dict[str, Tensor]:
        """See `capabilities.Explained`; ``prior`` is what is said of whom or what is cold."""
        parts = self.parts(task, inputs, private)
        weights = task.shared["blend"].expand(1, len(inputs), -1)
        own = self._weights(weights, len(parts), inputs)[0].T[..., None] * parts
        score = self.blended(task, inputs, parts, weights)[0]
        if self.first_items is not None:
            own = self.first_items.added(own, inputs, weights[0, 0, -1])
        named = dict(zip(self.part_names(setting), own, strict=True))
        return named | {"prior": score - own.sum(0)}

    def fixed_blends(self, setting: Setting) -> Tensor:
        """See `capabilities.Blended`: all parts alike, the graph's alone, the Transformer alone."""
        names = self.part_names(setting)
        mixes = [torch.ones(len(names))]
        if self.item_graph is not None and self.transformer:
            from_graph = torch.tensor([name in self.item_graph.names(setting) for name in names])
            alone = torch.tensor([name == "transformer" for name in names])
            mixes += [from_graph.float(), alone.float()]
        whole = unbent(torch.stack(mixes), self.sets)
        return torch.cat((whole, self.priors[:1].expand(len(mixes), -1)), 1)

    @property
    def priors(self) -> Tensor:
        """See `capabilities.Blended`: how much first items weigh, where cold users are served."""
        if self.first_items is None:
            return torch.zeros(1, 0)
        return torch.tensor([[self.first_items.spec.prior], [0.0]])

    def is_feasible(self, report: Report, setting: Setting) -> bool:
        """See `capabilities.Judging`: each part knows what one history can say."""
        arrays = report.sums
        return all(part.is_feasible(arrays, setting, report.round) for part in self.active_parts)

    def item_views(
        self, arrays: dict[str, Tensor], setting: Setting, round_number: int
    ) -> dict[str, Tensor]:
        """See `capabilities.ItemViews`."""
        for part in self.active_parts:
            arrays = part.item_views(arrays, setting, round_number)
        return arrays

    def matrices(self, task: Task) -> dict[str, tuple[Matrix, ...]]:
        """See `capabilities.MatrixUploads`: those of the Transformer, and of LightGCN."""
        if self.sequence is None or "net" not in task.shared:
            return {}
        found = {"gradient": self.sequence.matrices(task.shared)}
        return found | ({GRADIENT: self.light.matrices(task.shared)} if self.light else {})

    @property
    def integer_bounds(self) -> dict[str, int]:
        """See `capabilities.IntegerUploads`."""
        return {
            name: bound for part in self.active_parts for name, bound in part.integer_bounds.items()
        }

    def asks_all_clients(self, round_number: int) -> bool:
        """See `capabilities.AsksAllClients`: all contribute to the item graph, once."""
        return self.graph is not False and round_number <= self.graph.rounds

    def stacked_bytes(self, counts: Tensor, items: int, round_number: int) -> Tensor | None:
        """See `capabilities.Stackable`: large sparse sums, of few stacks, are merged seldom."""
        if self.item_graph is None or not self.asks_all_clients(round_number):
            return None
        return self.item_graph.stacked_bytes(counts, items)

    @property
    def asks_for_item_text(self) -> bool:
        """See `capabilities.ReadsItemText`."""
        return self.cold_items is not None and self.cold_items.titles

    def derive(self, facts: DataFacts, given: Mapping[str, Any]) -> tuple[Derived, ...]:
        """See `capabilities.Adaptive`."""
        return tuple(rule(facts, given))

    def for_budget(self, budget: Budget, setting: Setting) -> Algorithm:
        """See `capabilities.Budgeted`: sums that are worth their noise, the rest on the device."""
        keys = self.private or PrivateSpec()
        return PrivateForm(spec=keys, plan=plan_for(keys, budget, setting))
