"""UFGraphFormer: item graph, shared Transformer and user text in one model, blended on the device.

In round 1 every client contributes to the item graph (`_item_graph`). After that each round asks a
cohort for the gradient of a shared Transformer on its own sequences; token 0 of a sequence is the
user's embedded profile. The server steps with Adam and evaluates a running mean of the weights.
A device scores with both graph operators, the Transformer and a head of its own on public item
features (`_local_head`), each standardised over the catalogue, and adds them with weights that
validation picked.
"""

import math
from itertools import product
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from ufgraphfr.algorithms._item_graph import ItemGraph
from ufgraphfr.algorithms._local_head import LocalHead
from ufgraphfr.algorithms._private_form import PrivateForm
from ufgraphfr.algorithms.base import Algorithm, Setting, Update
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Private, Report, State, Task
from ufgraphfr.core.releases import Budget
from ufgraphfr.data.shards import Shard
from ufgraphfr.models.dropout import dropout_masks
from ufgraphfr.models.transformer import Transformer
from ufgraphfr.ops.adam import Moments, adam
from ufgraphfr.ops.blend import standardised

GRAPH_ROUND = 1
SHARES = (0.0, 0.25, 0.5, 1.0)
"""Weights of a part relative to the others that validation chooses from."""


class UFGraphFormer(Algorithm):
    """Hyper-parameters of UFGraphFormer; each part has a switch."""

    release: ClassVar[Literal["sum", "per-client"]] = "sum"

    graph: ItemGraph | Literal[False] = ItemGraph()
    """Part A, the item graph."""
    transformer: bool = True
    """Part B, the sequence Transformer."""
    text: bool = True
    """Part C, the embedded profile as token 0."""
    head: LocalHead | Literal[False] = LocalHead()
    """Part D, the device's own taste in public item features; it needs the graph's item counts,
    and a data set with item features."""
    dim: int = Field(64, ge=2)
    """d, of item vectors and states."""
    hidden: int = Field(128, ge=1)
    """Width of the feed-forward layers."""
    heads: int = Field(2, ge=1)
    blocks: int = Field(2, ge=1)
    history: int = Field(100, ge=1)
    """L, the recent items the Transformer sees."""
    dropout: float = Field(0.4, ge=0, lt=1)
    window: Literal["random", "recent"] = "random"
    """Train on a random stretch of a long history, or on its end."""
    weighting: Literal["positions", "clients"] = "positions"
    """Whether each position of the cohort counts once, or each client."""
    lr: float = Field(1e-3, gt=0)
    """Adam's learning rate on the server."""
    warmup: int = Field(20, ge=1)
    """Steps over which the learning rate grows to its value."""
    betas: tuple[float, float] = (0.9, 0.98)
    average: float = Field(0.99, ge=0, lt=1)
    """Decay of the running mean of the weights, which is what is evaluated."""
    private: PrivateForm | None = None
    """What this model becomes under a privacy budget, where its defaults do not fit."""

    @model_validator(mode="after")
    def _consistent(self) -> "UFGraphFormer":
        if self.dim % self.heads:
            raise ValueError(f"heads = {self.heads} must divide dim = {self.dim}")
        if not self.transformer and self.graph is False:
            raise ValueError("graph = false and transformer = false leave nothing: keep one part")
        return self

    def network(self, items: int, text_width: int) -> Transformer:
        """The Transformer for a catalogue."""
        return Transformer(
            items,
            text_width,
            self.dim,
            self.hidden,
            self.heads,
            self.blocks,
            self.history,
            self.text,
        )

    def under(self, budget: Budget, setting: Setting) -> Algorithm:
        """See `Algorithm.under`: sums that are worth their noise, the rest on the device."""
        return (self.private or PrivateForm()).chosen(budget, setting)

    def everyone(self, round_number: int) -> bool:
        """See `Algorithm.everyone`: all clients contribute to the item graph, once."""
        return self.graph is not False and round_number == GRAPH_ROUND

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        state: State = {"blend": self.blends()[-1]}
        if self.graph is not False:
            state |= ItemGraph.empty(setting.items)
            if self.head is not False:
                nothing = torch.zeros(setting.items, 0)
                state["graph.features"] = nothing if setting.features is None else setting.features
        if self.transformer:
            generator = Key(setting.seed, purpose=Purpose.INIT, part=3).generator()
            net = self.network(setting.items, setting.text_width).init(generator)
            zero = torch.zeros_like(net)
            state |= {"net": net, "net.mean": net, "net.first": zero, "net.second": zero}
            state["net.steps"] = torch.zeros(1, dtype=torch.int64)
        return state

    def init_private(self, setting: Setting, shard: Shard) -> Private:
        """See `Algorithm.init_private`; all weights are shared."""
        return {}

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`: nothing for the graph, then the Transformer's weights."""
        shared = (
            {} if self.everyone(round_number) or not self.transformer else {"net": state["net"]}
        )
        return Task(round_number, clients, shared, {})

    def evaluated(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.evaluated`: all that a device needs to rank."""
        shared = {name: value for name, value in state.items() if name.startswith("graph.")}
        if self.transformer:
            shared["net"] = state["net.mean"]
        return Task(round_number, clients, shared | {"blend": state["blend"]}, {})

    def local(self, task: Task, shard: Shard, private: Private, key: Key) -> tuple[Update, Private]:
        """See `Algorithm.local`."""
        if "net" in task.shared:
            return self._gradient(task.shared["net"], shard, key), private
        no_loss = torch.zeros(len(shard), device=shard.items.device)
        if self.graph is False or not self.everyone(task.round):
            return Update({}, no_loss, summed=True), private
        return Update({**self.graph.contribution(shard)}, no_loss, summed=True), private

    def _gradient(self, net: Tensor, shard: Shard, key: Key) -> Update:
        """The sum over clients of the gradient of their cross-entropy at every position."""
        network = self.network(shard.catalogue, shard.text.shape[1])
        targets = self._window(shard, key)
        seen = targets[:, :-1]
        masks = dropout_masks(
            key.to(Purpose.DROPOUT),
            shard.clients,
            network.dropout_sites,
            seen.shape[1] + 1,
            self.dim,
            self.dropout,
        )
        weights = net.detach().requires_grad_()
        params = network.unpack(weights)
        there = targets >= 0
        states = network.states(params, seen, shard.text, masks)[there]
        losses = F.cross_entropy(network.logits(params, states), targets[there], reduction="none")
        length = there.sum(1)
        owner = torch.arange(len(shard), device=net.device).repeat_interleave(length)
        loss = losses.new_zeros(len(shard)).index_add(0, owner, losses) / length
        by_client = self.weighting == "clients"
        (gradient,) = torch.autograd.grad((loss.sum() if by_client else losses.sum()), weights)
        count = torch.tensor([len(shard) if by_client else len(losses)], device=net.device)
        return Update({"gradient": gradient, "count": count.float()}, loss.detach(), summed=True)

    def _window(self, shard: Shard, key: Key) -> Tensor:
        """The stretch of each history to train on, int64 ``[clients, length]`` padded right."""
        length = min(self.history + 1, int(shard.counts.max()))
        if self.window == "recent":
            return shard.last(length)[0]
        spare = (shard.counts - length).clamp(min=0) + 1
        start = key.to(Purpose.SHUFFLE).integers(shard.clients, 1, spare)[:, 0]
        return shard.stretch(start, length)

    def plausible(self, report: Report) -> bool:
        """See `Algorithm.plausible`: one history, and no more positions than it may have."""
        arrays = {name: v for name, v in report.arrays.items() if isinstance(v, Tensor)}
        if self.graph is not False and "graph.pairs" in arrays:
            return self.graph.plausible(arrays)
        count = arrays.get("count")
        most = 1 if self.weighting == "clients" else self.history + 1
        return count is None or bool(((count >= 1) & (count <= most)).all())

    def unpacked(self, arrays: dict[str, Tensor], setting: Setting) -> dict[str, Tensor]:
        """See `Algorithm.unpacked`."""
        packed = "net" if "net" in arrays else "gradient"
        if packed not in arrays:
            return arrays
        shapes = self.network(setting.items, setting.text_width).shapes
        parts = arrays[packed].split([math.prod(shape) for shape in shapes.values()], dim=1)
        views = {
            f"gradient.{name}": part.view(len(part), *shape)
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }
        return views | {name: value for name, value in arrays.items() if name != packed}

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        sums = {name: value for name, value in report.arrays.items() if isinstance(value, Tensor)}
        if self.graph is not False and "graph.pairs" in sums:
            return state | self.graph.operators(sums)
        if "gradient" not in sums:
            return state
        mean = sums["gradient"] / sums["count"].clamp(min=1)
        moments = Moments(state["net.first"], state["net.second"], state["net.steps"])
        lr = self.lr * min(1.0, (int(moments.steps) + 1) / self.warmup)
        net, moments = adam(state["net"], mean, moments, lr, self.betas)
        return state | {
            "net": net,
            "net.mean": state["net.mean"].lerp(net, 1 - self.average),
            "net.first": moments.first,
            "net.second": moments.second,
            "net.steps": moments.steps,
        }

    def blends(self) -> Tensor:
        """See `Algorithm.blends`: every mix of the parts that are on; the last is the even one."""
        names = self._parts
        mixes = [mix for mix in product(SHARES, repeat=len(names)) if max(mix) == SHARES[-1]]
        return torch.tensor(mixes)

    @property
    def _parts(self) -> tuple[str, ...]:
        graph = () if self.graph is False else ("ridge", "next")
        head = () if self.graph is False or self.head is False else ("head",)
        return (*graph, *head, "transformer") if self.transformer else (*graph, *head)

    def parts(self, task: Task, inputs: Shard, private: Private) -> Tensor:
        """See `Algorithm.parts`: each part's scores, standardised for each user."""
        scores: list[Tensor] = []
        if self.graph is not False:
            scores += self.graph.scores(task.shared, inputs)
            if self.head is not False:
                features, counts = task.shared["graph.features"], task.shared["graph.counts"]
                scores.append(self.head.scores(features, counts, inputs))
        if self.transformer:
            network = self.network(inputs.catalogue, inputs.text.shape[1])
            params = network.unpack(task.shared["net"])
            recent, length = inputs.last(self.history)
            recent = recent[:, : int(length.max())]
            states = network.states(params, recent, inputs.text)
            clients = torch.arange(len(inputs), device=length.device)
            scores.append(network.logits(params, states[clients, length]))
        return torch.stack([standardised(part) for part in scores])

    def score(self, task: Task, inputs: Shard, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        return torch.einsum("p,pci->ci", task.shared["blend"], self.parts(task, inputs, private))
