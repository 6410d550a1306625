"""UFGraphFormer: item graph, shared Transformer and user text in one model, blended on the device.

In the first rounds every client contributes to the item graph (`_item_graph`). The server takes the
Transformer's first item vectors from the graph's spectrum. After that each round asks a cohort to
train the Transformer on its own sequences; token 0 of a sequence is the user's embedded profile.
The server steps with Adam on the cohort's mean change and evaluates a running mean of the weights.
A device scores with the graph's operators, the Transformer and a head of its own on public item
features (`_local_head`), each standardised over the catalogue, and adds them with weights that
validation picked.
"""

from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from ufgraphfr.algorithms._former_spec import FormerSpec
from ufgraphfr.algorithms._newcomers import SUM
from ufgraphfr.algorithms._projection import projection_of
from ufgraphfr.algorithms._sequence_training import Public
from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.core.arrays.protocol import Matrix
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.models.transformer import Transformer, with_item_vectors
from ufgraphfr.ops.blend import standardised

COUNTS = "graph.counts"


@final
class UFGraphFormer(FormerSpec):
    """The model; its hyper-parameters are those of `FormerSpec`."""

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        given = setting.features
        features = torch.zeros(setting.items, 0) if given is None else given
        projection = projection_of(setting.text_width, self.text_dim, setting.seed)
        state: State = {"blend": self.blends()[-1], "features": features, "projection": projection}
        if self.graph is not False:
            state |= self.graph.empty(setting.items)
        if self.for_newcomers:
            state |= self.for_newcomers.empty(setting.items)
        if self.new_items is not None:
            state["public"] = self.new_items.public(state["features"], setting.item_text)
        if self.transformer:
            generator = Key(setting.seed, purpose=Purpose.INIT, part=3).generator()
            width = projection.shape[1]
            net = self.network(setting.items, width, features.shape[1]).init(generator)
            state |= {**self.adam.begun(net), "seed": torch.tensor([setting.seed])}
        return state

    def init_private(self, setting: Setting, shard: ClientBatch) -> Private:
        """See `Algorithm.init_private`; all weights are shared."""
        return {}

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`: nothing for the graph, then the Transformer's weights."""
        if self.asks_all_clients(round_number) or not self.transformer:
            return Task(round_number, clients, {}, {})
        lasting = {name: state[name] for name in ("features", "projection")}
        if self.graph is not False:
            # all that training needs of the graph is which items nobody has
            lasting[COUNTS] = state[COUNTS]
        shared = {"net": state["net"], **lasting}
        if self.training.local_steps > 1:
            shared["net.scale"] = self.adam.local_scale(state)
        return Task(round_number, clients, shared, {}, frozenset(lasting))

    def evaluated(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.evaluated`: all that a device needs to rank."""
        graph = {name: value for name, value in state.items() if name.startswith("graph.")}
        shared = {name: state[name] for name in ("blend", "features", "projection")} | graph
        if self.transformer:
            shared["net"] = state["net.mean"]
        if self.new_items is not None:
            shared["public"] = state["public"]
        if self.for_newcomers:
            shared[SUM] = state[SUM]
        return Task(round_number, clients, shared, {})

    def local(
        self, task: Task, shard: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`."""
        if "net" in task.shared:
            public = self._public(task.shared, self.training.sample(shard.catalogue, key))
            shard = replace(shard, text=shard.text @ task.shared["projection"])
            together = task.aggregation is Aggregation.SUM
            update = self.training.update(public, shard, key, self.history, together)
            return update, private
        no_loss = torch.zeros(len(shard), device=shard.items.device)
        if self.graph is False or not self.asks_all_clients(task.round):
            return Update({}, no_loss, summed=True), private
        sums = self.graph.contribution(shard, task.round)
        if self.for_newcomers and task.round == 1:
            sums[SUM] = self.for_newcomers.contribution(shard)
        return Update({**sums}, no_loss, summed=True), private

    def _public(self, shared: dict[str, Tensor], sample: Tensor | None = None) -> Public:
        """What a device trains with."""
        features = shared["features"]
        absent = torch.zeros(len(features), dtype=torch.bool, device=features.device)
        if self.graph is not False:
            absent = shared[COUNTS] == 0
        sample = None if sample is None else sample.to(features.device)
        own = shared["net"], features, absent, shared.get("net.scale"), sample
        return Public(self._sent(shared), *own)

    def _sent(self, shared: dict[str, Tensor]) -> Transformer:
        """The shapes of the weights in a task."""
        (items, columns), width = shared["features"].shape, shared["projection"].shape[1]
        return self.network(items, width, columns)

    def is_feasible(self, report: Report, setting: Setting) -> bool:
        """See `Algorithm.is_feasible`: one history, and no more positions than it may have."""
        arrays = report.sums
        if self.graph is not False and self.graph.collecting(arrays):
            told = arrays.pop(SUM, None)
            if told is not None and not (
                self.for_newcomers and self.for_newcomers.is_feasible(told)
            ):
                return False
            return self.graph.is_feasible(arrays, setting.items, report.round)
        count = arrays.get("count")
        most = 1 if self.training.weighting == "clients" else self.history + 1
        return count is None or bool(((count >= 1) & (count <= most)).all())

    def matrices(self, task: Task) -> dict[str, tuple[Matrix, ...]]:
        """See `Algorithm.matrices`: those of the Transformer."""
        if "net" not in task.shared:
            return {}
        return {"gradient": self._sent(task.shared).matrices}

    def item_views(
        self, arrays: dict[str, Tensor], setting: Setting, round_number: int
    ) -> dict[str, Tensor]:
        """See `Algorithm.item_views`."""
        packed = "net" if "net" in arrays else "gradient"
        if packed not in arrays:
            if self.graph is False or not self.asks_all_clients(round_number):
                return arrays
            rest = {name: value for name, value in arrays.items() if name != SUM}
            views = self.graph.by_item(rest, setting.items, round_number)
            if SUM in arrays:
                told = arrays[SUM].unflatten(1, (-1, setting.items))
                views[SUM] = told.transpose(1, 2)
            return views
        columns = 0 if setting.features is None else setting.features.shape[1]
        network = self.network(setting.items, min(setting.text_width, self.text_dim), columns)
        rest = {name: value for name, value in arrays.items() if name != packed}
        named = network.named(arrays[packed])
        return rest | {f"gradient.{name}": view for name, view in named.items()}

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        sums = report.sums
        if self.graph is not False and self.graph.collecting(sums):
            if self.for_newcomers and report.round == 1:
                items = len(state["features"])
                state = state | self.for_newcomers.collected(sums.pop(SUM), items)
            state = self.graph.collected(state, sums, report.round)
            complete = report.round == self.graph.rounds
            return self._begun(state) if complete and self.transformer else state
        if "gradient" not in sums:
            return state
        mean = sums["gradient"] / sums["count"].clamp(min=1)
        return self.adam.stepped(state, mean)

    def _begun(self, state: State) -> State:
        """The Transformer's first weights, once there is a graph."""
        if self.graph is False or not self.spectral:
            return state
        generator = Key(int(state["seed"]), purpose=Purpose.INIT, part=4).generator()
        vectors = self.graph.item_vectors(state, self.dim, generator)
        return state | self.adam.begun(with_item_vectors(state["net"], vectors))

    def parts(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.parts`: each part's scores, standardised for each user."""
        shared, scores = task.shared, list[Tensor]()
        if self.graph is not False:
            scores += standardised(self.graph.scores(shared, inputs))
            if self.head is not False:
                head = self.head.scores(shared["features"], shared[COUNTS], inputs)
                scores.append(standardised(head))
        if self.transformer:
            scores.append(standardised(self._next_item(shared, inputs)))
        parts = torch.stack(scores)
        return self.for_newcomers.among(parts, shared, inputs) if self.for_newcomers else parts

    def _next_item(self, shared: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """The Transformer's scores after each history, float ``[clients, items]``."""
        public = self._public(shared)
        params = public.params(public.net)
        recent, length = inputs.last(self.history)
        text = inputs.text @ shared["projection"]
        states = public.network.states(params, recent[:, : int(length.max())], text)
        clients = torch.arange(len(inputs), device=length.device)
        return public.network.logits(params, states[clients, length])

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        parts, shared = self.parts(task, inputs, private), task.shared
        scores = torch.einsum("p,pci->ci", shared["blend"], parts)
        if self.new_items is None:
            return scores
        return self.new_items.filled(scores, shared["public"], shared[COUNTS])
