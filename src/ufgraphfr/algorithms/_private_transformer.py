"""The Transformer under a budget: each client's gradient, clipped, in a fixed number of rounds.

Abadi et al., "Deep learning with differential privacy", CCS 2016, with a user in the place of an
example. Noise falls on every weight that is trained, so the many that can be known otherwise are
not: item vectors are what is public of an item and its place in the noised graph, item biases the
noised popularity, and the layer of the profile is a public random projection (its gradient would
be the profile itself). What is trained are the few thousand weights of the blocks.
"""

import math
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ufgraphfr.algorithms._sequence_training import Public, SequenceTraining
from ufgraphfr.algorithms._server_adam import FLAT, ServerAdam
from ufgraphfr.algorithms.base import Setting
from ufgraphfr.core.arrays.dense import as_array
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import State
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.models.transformer import INIT_STD, Params, Transformer, check_heads
from ufgraphfr.ops.item_graph import spectral

WANTED = 30.0
"""Length of a sum of updates that all point one way, over that of its noise, from which on the
Transformer is taken to be worth its share: beyond what could be measured, where it never was."""
FIXED = "fixed."
"""Before the names of weights that are not trained, in the server's memory."""


class PrivateAdam(ServerAdam):
    """The server's steps, of which there are few."""

    lr: float = Field(2e-3, gt=0)
    """See `ServerAdam`."""
    warmup: int = Field(5, ge=1)
    """See `ServerAdam`."""
    average: float = Field(0.9, ge=0, lt=1)
    """See `ServerAdam`."""


class PrivateTransformer(Spec):
    """Hyper-parameters; the ``[algorithm.private.transformer]`` table."""

    share: float = Field(0.3, gt=0, lt=1)
    """Of the budget."""
    rounds: int = Field(40, ge=1)
    """Of training; how many clients each asks, and so how often a client takes part, say
    ``[federation] cohort`` and ``sampling``."""
    clip: float = Field(0.1, gt=0)
    """C, the L2 length that a client's gradient is cut to. Most are longer, so that clients count
    alike; the server's steps do not depend on the scale."""
    weight: float = Field(0.2, ge=0)
    """Of its scores relative to the head's."""
    items: bool = False
    """Whether item vectors and biases are trained too: many more weights for the noise to fall
    on."""
    dim: int = Field(32, ge=2)
    """d, of item vectors and states."""
    hidden: int = Field(64, ge=1)
    """Width of the feed-forward layer."""
    heads: int = Field(2, ge=1)
    blocks: int = Field(1, ge=1)
    history: int = Field(50, ge=1)
    """L, the recent items it sees."""
    training: SequenceTraining = SequenceTraining(dropout=0.1)
    """How devices train; each client's update is formed apart and counts once."""
    adam: PrivateAdam = PrivateAdam()
    """How the server steps."""
    renamed: ClassVar[dict[str, str]] = FLAT

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        check_heads(self.heads, self.dim)
        return self

    @property
    def fixed(self) -> tuple[str, ...]:
        """The weights that are not trained."""
        return ("joint.weight",) if self.items else ("item.weight", "item.bias", "joint.weight")

    def network(self, items: int, text_width: int) -> Transformer:
        """The shapes."""
        own = self.dim, self.hidden, self.heads, self.blocks, self.history
        return Transformer(items, text_width, *own, text=True)

    def trained(self, setting: Setting) -> int:
        """How many weights are trained."""
        network = self.network(setting.items, setting.text_width)
        return network.size - sum(math.prod(network.shapes[name]) for name in self.fixed)

    def least_signal(self, setting: Setting) -> float:
        """Clients over the noise of a whole budget from which on training is worth its share.

        If all updates pointed one way, their sum in a round of everybody would have length n C,
        and its noise z C sqrt(size), where z grows with the root of rounds over share.
        """
        return WANTED * math.sqrt(self.trained(setting) * self.rounds / self.share)

    def initial(self, setting: Setting) -> State:
        """The server's memory before anything is released."""
        network = self.network(setting.items, setting.text_width)
        generator = Key(setting.seed, purpose=Purpose.INIT, part=3).generator()
        fixed, net = network.parted(network.init(generator), self.fixed)
        named = {FIXED + name: value for name, value in fixed.items()}
        return {**named, **self.adam.begun(net), "seed": torch.tensor([setting.seed])}

    def informed(self, state: State, offset: Tensor) -> State:
        """The memory once popularity and graph are known: item vectors and biases from them.

        Args:
            state: with the public ``columns``, and the graph's ``kept`` items and links ``next``.
            offset: float ``[items]``, log popularity.
        """
        generator = Key(int(state["seed"]), purpose=Purpose.INIT, part=4).generator()
        columns, kept, links = state["columns"], state["kept"], state["next"]
        items, width = columns.shape
        vectors = torch.randn(items, self.dim, generator=generator).to(columns)
        vectors += _even(columns @ torch.randn(width, self.dim, generator=generator).to(columns))
        if len(kept) > 1:
            vectors[kept] += _even(spectral(links + links.T, self.dim, generator))
        vectors, bias = INIT_STD * _even(vectors), offset - offset.mean()
        if not self.items:
            return state | {f"{FIXED}item.weight": vectors, f"{FIXED}item.bias": bias}
        # they are laid out first
        rest = state["net"][vectors.numel() + bias.numel() :]
        return state | self.adam.begun(torch.cat((vectors.flatten(), bias, rest)))

    def shared(self, state: State, weights: Literal["net", "net.mean"]) -> State:
        """What devices train with, or rank with."""
        fixed = {name: value for name, value in state.items() if name.startswith(FIXED)}
        return {"net": state[weights], **fixed}

    def gradients(self, shared: State, shard: ClientBatch, key: Key) -> Tensor:
        """Each client's own update, float ``[clients, size]``."""
        training = self.training.model_copy(update={"weighting": "clients"})
        public = self._public(shared, shard, training.sample(shard.catalogue, key))
        update = training.update(public, shard, key, self.history)
        return as_array(update.arrays["gradient"]).dense()

    def _public(self, shared: State, shard: ClientBatch, sample: Tensor | None = None) -> Public:
        fixed: Params = {
            name.removeprefix(FIXED): value
            for name, value in shared.items()
            if name.startswith(FIXED)
        }
        network = self.network(shard.catalogue, shard.text.shape[1])
        nobody = torch.zeros(shard.catalogue, dtype=torch.bool, device=shard.items.device)
        features = nobody.new_zeros((shard.catalogue, 0), dtype=torch.float32)
        sample = None if sample is None else sample.to(nobody.device)
        return Public(network, shared["net"], features, nobody, None, sample, fixed)

    def stepped(self, state: State, mean: Tensor) -> State:
        """The memory after a round, from the cohort's noised mean."""
        return self.adam.stepped(state, mean)

    def scores(self, shared: State, inputs: ClientBatch) -> Tensor:
        """What follows each history, float ``[clients, items]``."""
        public = self._public(shared, inputs)
        params = public.params(public.net)
        recent, length = inputs.last(self.history)
        states = public.network.states(params, recent[:, : int(length.max())], inputs.text)
        each = torch.arange(len(inputs), device=length.device)
        return public.network.logits(params, states[each, length])


def _even(vectors: Tensor) -> Tensor:
    """The same at unit variance; zeros stay zeros."""
    return vectors / vectors.std().clamp(min=1e-12)
