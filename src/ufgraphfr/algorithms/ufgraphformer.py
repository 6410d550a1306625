"""UFGraphFormer: item graph, shared Transformer and user text in one model, blended on the device.

In the first rounds every client contributes to the item graph (`_item_graph`). The server takes the
Transformer's first item vectors from the graph's spectrum. After that each round asks a cohort to
train the Transformer on its own sequences, on top of what the graph of everybody else says of each
next item; token 0 of a sequence is the user's embedded profile. The server steps with Adam on the
cohort's mean change and evaluates a running mean of the weights. A device scores with both graph
operators, the Transformer and a head of its own on public item features (`_local_head`), each
standardised over the catalogue, and adds them with weights that validation picked.
"""

from dataclasses import replace
from itertools import product
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ufgraphfr.algorithms._item_graph import SUMS, ItemGraph
from ufgraphfr.algorithms._local_head import LocalHead
from ufgraphfr.algorithms._new_items import NewItems
from ufgraphfr.algorithms._sequence_training import Public, SequenceTraining
from ufgraphfr.algorithms.base import Algorithm, Setting, Update
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Private, Report, State, Task
from ufgraphfr.data.shards import Shard
from ufgraphfr.models.transformer import Transformer, with_item_vectors
from ufgraphfr.ops.adam import Moments, adam, step_scale
from ufgraphfr.ops.blend import standardised

OPERATORS = ("ridge", "near", "smooth")
SHARES = (0.0, 0.125, 0.25)
"""Weights of a part, relative to the last one, that validation chooses from."""


class UFGraphFormer(Algorithm):
    """Hyper-parameters of UFGraphFormer; each part has a switch."""

    release: ClassVar[Literal["sum", "per-client"]] = "sum"

    graph: ItemGraph | Literal[False] = ItemGraph()
    """Part A, the item graph."""
    transformer: bool = True
    """Part B, the sequence Transformer."""
    text: bool = True
    """Part C, the embedded profile as token 0."""
    text_dim: int = Field(64, ge=1)
    """Wider profile vectors are projected to this width, at random and publicly, so that there
    are fewer weights to send."""
    head: LocalHead | Literal[False] = LocalHead()
    """Part D, the device's own taste in public item features; it needs the graph's item counts,
    and a data set with item features."""
    features: bool = True
    """Whether an item's vector has a part from its public features, if there are any."""
    spectral: bool = True
    """Whether the first item vectors come from the graph."""
    residual: bool = True
    """Whether the Transformer learns what the graph of everybody else leaves unexplained."""
    dim: int = Field(64, ge=2)
    """d, of item vectors and states."""
    hidden: int = Field(128, ge=1)
    """Width of the feed-forward layers."""
    heads: int = Field(2, ge=1)
    blocks: int = Field(2, ge=1)
    history: int = Field(100, ge=1)
    """L, the recent items the Transformer sees."""
    training: SequenceTraining = SequenceTraining()
    """How devices train the Transformer."""
    lr: float = Field(5e-4, gt=0)
    """Adam's learning rate on the server."""
    warmup: int = Field(20, ge=1)
    """Steps over which the learning rate grows to its value."""
    betas: tuple[float, float] = (0.9, 0.98)
    average: float = Field(0.99, ge=0, lt=1)
    """Decay of the running mean of the weights, which is what is evaluated."""

    new_items: NewItems | None = None
    """How items that nobody has are scored from what is public of them; without it they are last,
    or ranked by what little the head and the features' part of the item vectors say."""

    @model_validator(mode="after")
    def _consistent(self) -> "UFGraphFormer":
        if self.dim % self.heads:
            raise ValueError(f"heads = {self.heads} must divide dim = {self.dim}")
        if not self.transformer and self.graph is False:
            raise ValueError("graph = false and transformer = false leave nothing: keep one part")
        if self.new_items is not None and self.graph is False:
            raise ValueError("new_items needs the graph's item counts to know which items are new")
        return self

    def network(self, items: int, text_width: int, columns: int) -> Transformer:
        """The Transformer for a catalogue with some columns of public features."""
        return Transformer(
            items,
            text_width,
            self.dim,
            self.hidden,
            self.heads,
            self.blocks,
            self.history,
            self.text,
            columns if self.features else 0,
            len(OPERATORS) if self.residual and self.graph is not False else 0,
        )

    @property
    def asks_for_item_text(self) -> bool:
        """See `Algorithm.asks_for_item_text`."""
        return self.new_items is not None and self.new_items.titles

    def apart(self) -> "UFGraphFormer":
        """See `Algorithm.apart`."""
        training = self.training.model_copy(update={"apart": True})
        return self.model_copy(update={"training": training})

    @property
    def whole(self) -> dict[str, int]:
        """See `Algorithm.whole`."""
        return {} if self.graph is False else self.graph.whole

    def everyone(self, round_number: int) -> bool:
        """See `Algorithm.everyone`: all clients contribute to the item graph, once."""
        return self.graph is not False and round_number <= self.graph.rounds

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        nothing = torch.zeros(setting.items, 0)
        features = nothing if setting.features is None else setting.features
        state: State = {"blend": self.blends()[-1], "features": features}
        state["projection"] = self._projection(setting.text_width, setting.seed)
        if self.graph is not False:
            state |= self.graph.empty(setting.items)
        if self.new_items is not None:
            state["public"] = self.new_items.public(state["features"], setting.item_text)
        if self.transformer:
            generator = Key(setting.seed, purpose=Purpose.INIT, part=3).generator()
            width = state["projection"].shape[1]
            net = self.network(setting.items, width, features.shape[1]).init(generator)
            zero = torch.zeros_like(net)
            state |= {"net": net, "net.mean": net, "net.first": zero, "net.second": zero}
            state["net.steps"] = torch.zeros(1, dtype=torch.int64)
            state["seed"] = torch.tensor([setting.seed])
        return state

    def _projection(self, text_width: int, seed: int) -> Tensor:
        """From profile vectors to what token 0 sees, float ``[text_width, width]``."""
        if text_width <= self.text_dim:
            return torch.eye(text_width)
        generator = Key(seed, purpose=Purpose.INIT, part=5).generator()
        return torch.randn(text_width, self.text_dim, generator=generator).div(self.text_dim**0.5)

    def init_private(self, setting: Setting, shard: Shard) -> Private:
        """See `Algorithm.init_private`; all weights are shared."""
        return {}

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`: nothing for the graph, then the Transformer's weights."""
        if self.everyone(round_number) or not self.transformer:
            return Task(round_number, clients, {}, {})
        shared = {"net": state["net"], **self._lasting(state)}
        if self.training.local_steps > 1:
            # until Adam has seen a gradient there is no scale to step on
            scale = step_scale(self._moments(state), self.betas)
            shared["net.scale"] = torch.zeros_like(state["net"]) if scale is None else scale
        return Task(round_number, clients, shared, {})

    def evaluated(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.evaluated`: all that a device needs to rank."""
        shared = {"blend": state["blend"], **self._lasting(state)}
        if self.transformer:
            shared["net"] = state["net.mean"]
        if self.new_items is not None:
            shared["public"] = state["public"]
        return Task(round_number, clients, shared, {})

    def _lasting(self, state: State) -> dict[str, Tensor]:
        """What devices keep once they have it: public features and the graph's operators."""
        graph = {name: value for name, value in state.items() if name.startswith("graph.")}
        return {"features": state["features"], "projection": state["projection"], **graph}

    def local(self, task: Task, shard: Shard, private: Private, key: Key) -> tuple[Update, Private]:
        """See `Algorithm.local`."""
        if "net" in task.shared:
            public = self._public(task.shared)
            shard = replace(shard, text=shard.text @ task.shared["projection"])
            return self.training.update(public, shard, key, self.history), private
        no_loss = torch.zeros(len(shard), device=shard.items.device)
        if self.graph is False or not self.everyone(task.round):
            return Update({}, no_loss, summed=True), private
        sums = self.graph.contribution(shard, task.round)
        return Update({**sums}, no_loss, summed=True), private

    def _public(self, shared: dict[str, Tensor]) -> Public:
        """What a device trains with."""
        features, graph = shared["features"], self.graph
        width = shared["projection"].shape[1]
        network = self.network(len(features), width, features.shape[1])
        absent = torch.zeros(len(features), dtype=torch.bool, device=features.device)
        if graph is False:
            return Public(network, shared["net"], features, absent, None, shared.get("net.scale"))

        def outside(seen: Tensor, shard: Shard) -> Tensor:
            return standardised(graph.training_scores(shared, seen, shard))

        absent = shared["graph.counts"] == 0
        beneath = outside if self.residual else None
        return Public(network, shared["net"], features, absent, beneath, shared.get("net.scale"))

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        sums = {name: value for name, value in report.arrays.items() if isinstance(value, Tensor)}
        if self.graph is not False and SUMS[0] in sums:
            state = self.graph.collected(state, sums, report.round)
            complete = report.round == self.graph.rounds
            return self._begun(state) if complete and self.transformer else state
        return self._stepped(state, sums) if "gradient" in sums else state

    def _begun(self, state: State) -> State:
        """The Transformer's first weights, once there is a graph."""
        if self.graph is False or not self.spectral:
            return state
        generator = Key(int(state["seed"]), purpose=Purpose.INIT, part=4).generator()
        vectors = self.graph.item_vectors(state, self.dim, generator)
        net = with_item_vectors(state["net"], vectors)
        return state | {"net": net, "net.mean": net}

    def _stepped(self, state: State, sums: dict[str, Tensor]) -> State:
        """One step of Adam on the cohort's mean."""
        mean = sums["gradient"] / sums["count"].clamp(min=1)
        moments = self._moments(state)
        lr = self.lr * min(1.0, (int(moments.steps) + 1) / self.warmup)
        net, moments = adam(state["net"], mean, moments, lr, self.betas)
        return state | {
            "net": net,
            "net.mean": state["net.mean"].lerp(net, 1 - self.average),
            "net.first": moments.first,
            "net.second": moments.second,
            "net.steps": moments.steps,
        }

    @staticmethod
    def _moments(state: State) -> Moments:
        return Moments(state["net.first"], state["net.second"], state["net.steps"])

    def blends(self) -> Tensor:
        """See `Algorithm.blends`: every mix of the parts that are on; the last is the even one."""
        others = len(self._parts) - 1
        return torch.tensor([(*mix, 1.0) for mix in product(SHARES, repeat=others)])

    @property
    def _parts(self) -> tuple[str, ...]:
        graph = () if self.graph is False else OPERATORS
        head = () if self.graph is False or self.head is False else ("head",)
        return (*graph, *head, "transformer") if self.transformer else (*graph, *head)

    def parts(self, task: Task, inputs: Shard, private: Private) -> Tensor:
        """See `Algorithm.parts`: each part's scores, standardised for each user."""
        shared, scores = task.shared, list[Tensor]()
        if self.graph is not False:
            scores += standardised(self.graph.scores(shared, inputs))
            if self.head is not False:
                head = self.head.scores(shared["features"], shared["graph.counts"], inputs)
                scores.append(standardised(head))
        if self.transformer:
            scores.append(standardised(self._next_item(shared, inputs, scores[: len(OPERATORS)])))
        return torch.stack(scores)

    def _next_item(self, shared: dict[str, Tensor], inputs: Shard, graph: list[Tensor]) -> Tensor:
        """The Transformer's scores after each whole history, on top of the graph's."""
        public = self._public(shared)
        params = public.network.unpack(public.net, public.features)
        recent, length = inputs.last(self.history)
        recent = recent[:, : int(length.max())]
        states = public.network.states(params, recent, inputs.text @ shared["projection"])
        clients = torch.arange(len(inputs), device=length.device)
        logits = public.network.logits(params, states[clients, length])
        if public.outside is None:
            return logits
        return public.network.with_outside(params, logits, torch.stack(graph))

    def score(self, task: Task, inputs: Shard, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        shared = task.shared
        scores = torch.einsum("p,pci->ci", shared["blend"], self.parts(task, inputs, private))
        if self.new_items is None:
            return scores
        return self.new_items.filled(scores, shared["public"], shared["graph.counts"])
