"""The Transformer under a budget: each client's gradient, clipped, in a fixed number of rounds.

Abadi et al., "Deep learning with differential privacy", CCS 2016, with a user in the place of an
example. Noise falls on every weight that is trained, so the many that can be known otherwise are
not: item vectors are what is public of an item and its place in the noised graph, item biases the
noised popularity, and the layer of the profile is a public random projection (its gradient would
be the profile itself). What is trained are the few thousand weights of the blocks.
"""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer.sequence.local_training import (
    SequenceTraining,
    SharedModel,
)
from ufgraphfr.algorithms.ufgraphformer.sequence.server_adam import ServerAdam
from ufgraphfr.core.arrays.dense import as_array
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Aggregation, State
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.models.transformer import INIT_STD, Params, Transformer
from ufgraphfr.ops.item_graph import spectral

WANTED = 30.0
"""Length of a sum of updates that all point one way, over that of its noise, from which on the
Transformer is taken to be worth its share: beyond what could be measured, where it never was."""
FIXED = "fixed."
"""Before the names of weights that are not trained, in the server's memory."""


HEADS, BLOCKS = 2, 1
"""Noise falls on every weight that is trained, so there are few; as in the recorded runs."""
TRAINING = SequenceTraining(dropout=0.1, weighting="clients")
"""A client counts once, as the clip and its noise ask for; dropout as in the recorded runs."""
WARMUP, AVERAGE = 5, 0.9
"""See `ServerAdam`: of the server's steps there are few."""


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
    dim: int = Field(32, ge=2, multiple_of=HEADS)
    """d, of item vectors and states."""
    hidden: int = Field(64, ge=1)
    """Width of the feed-forward layer."""
    history: int = Field(50, ge=1)
    """L, the recent items it sees."""
    lr: float = Field(2e-3, gt=0)
    """Adam's learning rate on the server."""

    @property
    def adam(self) -> ServerAdam:
        """How the server steps."""
        return ServerAdam(lr=self.lr, warmup=WARMUP, average=AVERAGE)

    @property
    def fixed(self) -> tuple[str, ...]:
        """The weights that are not trained."""
        return ("joint.weight",) if self.items else ("item.weight", "item.bias", "joint.weight")

    def network(self, items: int, text_width: int) -> Transformer:
        """The shapes."""
        sizes = self.dim, self.hidden, HEADS, BLOCKS, self.history
        return Transformer(items, text_width, *sizes, text=True)

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
        generator = Key(setting.seed, purpose=Purpose.INIT_TRANSFORMER).generator()
        fixed, net = network.parted(network.init(generator), self.fixed)
        named = {FIXED + name: value for name, value in fixed.items()}
        return {**named, **self.adam.begun(net), "seed": torch.tensor([setting.seed])}

    def informed(self, state: State, offset: Tensor) -> State:
        """The memory once popularity and graph are known: item vectors and biases from them.

        Args:
            state: with the public ``columns``, and the graph's ``kept`` items and links ``next``.
            offset: float ``[items]``, log popularity.
        """
        generator = Key(int(state["seed"]), purpose=Purpose.INIT_FROM_GRAPH).generator()
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

    def gradients(self, shared: State, batch: ClientBatch, key: Key) -> Tensor:
        """Each client's own update, float ``[clients, size]``."""
        model = self._model(shared, batch)
        update = TRAINING.update(model, batch, key, self.history, Aggregation.PER_CLIENT)
        return as_array(update.arrays["gradient"]).dense()

    def _model(self, shared: State, batch: ClientBatch) -> SharedModel:
        fixed: Params = {
            name.removeprefix(FIXED): value
            for name, value in shared.items()
            if name.startswith(FIXED)
        }
        network = self.network(batch.n_items, batch.text.shape[1])
        nobody = torch.zeros(batch.n_items, dtype=torch.bool, device=batch.items.device)
        features = nobody.new_zeros((batch.n_items, 0), dtype=torch.float32)
        return SharedModel(network, shared["net"], features, nobody, fixed=fixed)

    def scores(self, shared: State, inputs: ClientBatch) -> Tensor:
        """What follows each history, float ``[clients, items]``."""
        return self._model(shared, inputs).next_scores(inputs)


def _even(vectors: Tensor) -> Tensor:
    """The same at unit variance; zeros stay zeros."""
    return vectors / vectors.std().clamp(min=1e-12)
