"""The UFGraphFR client: joint embedding layer, Transformer and score MLP, trained on the device.

The joint embedding layer is ``p = W x + b`` on the embedded profile x. As x is one fixed vector,
every gradient of W is an outer product with x: ``W = W_0 + step x^T`` exactly, and only ``step``
(d numbers instead of d x E) is held.
"""

import math
from abc import ABC
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ufgraphfr.algorithms.base import Setting, on
from ufgraphfr.algorithms.pointwise.training import Pointwise
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.arrays.tables import Tables
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Private
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.epochs import window_times
from ufgraphfr.models.dropout import dropout_masks
from ufgraphfr.models.personal import PersonalNetwork, Scoring
from ufgraphfr.models.scorer import tower
from ufgraphfr.models.sequence import DROPOUT_SITES
from ufgraphfr.models.stacked import init_linear, stack
from ufgraphfr.models.transformer import check_heads
from ufgraphfr.ops.local_sgd import Batch, Forward, Params
from ufgraphfr.ops.touched import Touched

SLOPES = {"leaky-relu": 0.1, "relu": 0.0, "none": 1.0}
"""All clients share one initialisation, and the last hidden layer has d / 4 units: with the plain
ReLU some seeds leave items for which every unit is dead, and those rank high for ever."""

MAX_BATCHES = 2**12
"""Batches a local epoch may have before dropout keys of two epochs would meet."""


class TextClient(Pointwise, ABC):
    """Hyper-parameters and local training of the UFGraphFR client."""

    row_scale: float = Field(0.4, gt=0)
    """Item rows learn at ``lr * items * row_scale``;
    under an inner product with normalised states the family's 80 diverges."""
    history: int = Field(50, ge=0)
    """L, the recent items the Transformer sees; 0 leaves it a sequence of length one."""
    heads: int = Field(8, ge=1)
    """Attention heads."""
    hidden: int = Field(64, ge=1)
    """Width of the user MLP and of the Transformer's feed-forward layer."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of activations that training drops."""
    activation: Literal["leaky-relu", "relu", "none"] = "leaky-relu"
    """Between the layers of the score MLP; without one, the text changes no ranking."""
    scoring: Scoring = "both"
    """What scores an item: the MLP, the inner product or their sum. The MLP alone hardly learns
    what a user likes from its own few items."""
    text: bool = True
    """Whether the joint layer embeds the user's profile, or the same constant for everybody."""
    joint_scale: float = Field(80.0, gt=0)
    """The joint embedding layer's weight learns at ``lr * joint_scale``."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "TextClient":
        check_heads(self.heads, self.dim)
        return self

    @property
    def network(self) -> PersonalNetwork:
        """The networks that stay on the device."""
        return PersonalNetwork(
            dim=self.dim,
            hidden=self.hidden,
            heads=self.heads,
            history=self.history,
            scorer=tower(self.dim),
            slope=SLOPES[self.activation],
            scoring=self.scoring,
        )

    def init_client(self, setting: Setting, batch: ClientBatch) -> Private:
        """The same initial weights for every client, ``W_0 x`` computed for its own text."""
        generator = Key(setting.seed, purpose=Purpose.INIT_SCORER).generator()
        joint = on(batch.text.device, init_linear("joint", setting.text_width, self.dim, generator))
        network = on(batch.text.device, self.network.init(generator))
        return stack(network | {"joint.bias": joint["joint.bias"]}, len(batch)) | {
            "joint.step": batch.text.new_zeros(len(batch), self.dim),
            "joint.start": self.profile(batch) @ joint["joint.weight"],
        }

    def profile(self, batch: ClientBatch) -> Tensor:
        """What the joint layer embeds, float ``[clients, E]``."""
        if self.text:
            return batch.text
        width = batch.text.shape[1]
        return torch.full_like(batch.text, 1 / math.sqrt(width))

    def user(self, params: Params, text: Tensor) -> Tensor:
        """``W x + b``, float ``[clients, dim]``."""
        moved = params["joint.step"] * text.square().sum(1, keepdim=True)
        return params["joint.start"] + moved + params["joint.bias"]

    def train_client(
        self, private: Private, tables: Tables, batch: ClientBatch, key: Key
    ) -> tuple[Private, Rows, Tensor]:
        """Train from the given tables; returns new weights, row changes and losses."""
        params = {name: value.clone() for name, value in private.items()}

        def forward(rows: Touched, epoch: int) -> Forward:
            return self._forward(batch, rows, key, epoch)

        trained = self.train(params, tables, batch, key, forward, self._descend)
        return params, *trained

    def _forward(self, batch: ClientBatch, rows: Touched, key: Key, epoch: int) -> Forward:
        recent, length = batch.last(self.history)
        profile = self.profile(batch)
        # no interaction of the epoch comes after the last item, so no sample reads that state
        recent = rows.rows(recent[:, : max(0, int(length.max()) - 1)])

        def logits(params: Params, vectors: Tensor, table: Tensor, minibatch: Batch) -> Tensor:
            active = len(minibatch.row)
            # the history's vectors carry no gradient: every sample of a batch would hit them
            seen = table.index_select(0, recent[:active].flatten()).view(active, -1, self.dim)
            masks = dropout_masks(
                key.to(Purpose.DROPOUT, epoch * MAX_BATCHES + minibatch.number),
                batch.clients[:active],
                DROPOUT_SITES,
                seen.shape[1] + 1,
                self.dim,
                self.dropout,
            )
            user = self.user(params, profile[:active])
            states = self.network.states(params, user, seen, masks)
            position = window_times(batch, self.history, minibatch.time)
            return self.network.logits(params, states, position, vectors)

        return logits

    def _descend(self, params: Params, gradients: Params) -> None:
        # dL/dW = dL/dp x^T and dL/db = dL/dp: the bias's gradient steps both
        fixed = {"joint.step", "joint.start"}
        params["joint.step"].sub_(gradients["joint.bias"], alpha=self.lr * self.joint_scale)
        for name in params.keys() - fixed:
            params[name].sub_(gradients[name], alpha=self.lr)

    def rank(self, private: Private, tables: Tensor, inputs: ClientBatch) -> Tensor:
        """Scores of all items after the whole history, float ``[clients, items]``."""
        recent, length = inputs.last(self.history)
        clients = torch.arange(len(inputs), device=tables.device)
        seen = tables[clients[:, None], recent.clamp(min=0)]
        states = self.network.states(private, self.user(private, self.profile(inputs)), seen)
        return self.network.rank(private, states[clients, length], tables)
