"""The Transformer of UFGraphFormer trained centrally: epochs, shuffled batches, Adam.

Kang and McAuley, "Self-attentive sequential recommendation", ICDM 2018, as
`ufgraphfr.models.transformer` has it, without graph and item features. What federation costs the
same network is the difference to it. In an epoch every client trains once, on a random stretch of
its history; what is kept is a running mean of the weights.
"""

from collections.abc import Iterator
from typing import final

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.models.dropout import dropout_masks
from ufgraphfr.models.next_item import cross_entropy
from ufgraphfr.models.transformer import Transformer, check_heads
from ufgraphfr.ops.adam import Moments, adam

_GROUP = 16
"""Clients computed at once: of like length, so that little is padding."""


@final
class CentralTransformer(Baseline):
    """A next-item Transformer with a full softmax."""

    text: bool = True
    """Whether token 0 carries the embedded profile."""
    dim: int = Field(64, ge=2)
    """d, of item vectors and states."""
    hidden: int = Field(128, ge=2)
    """Width of plain feed-forward layers with as many weights; the gated ones are narrower."""
    heads: int = Field(2, ge=1)
    """Attention heads; they divide ``dim``."""
    blocks: int = Field(2, ge=1)
    """Transformer blocks."""
    history: int = Field(100, ge=1)
    """L, the recent items the Transformer sees."""
    epochs: int = Field(60, ge=1)
    """Passes over the clients."""
    batch_size: int = Field(64, ge=1)
    """Clients a step."""
    dropout: float = Field(0.4, ge=0, lt=1)
    """Share of activations that training drops."""
    lr: float = Field(1e-3, gt=0)
    """Adam's learning rate."""
    warmup: int = Field(20, ge=1)
    """Steps over which the learning rate grows to its value."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay of Adam's running moments of the gradient."""
    average: float = Field(0.99, ge=0, lt=1)
    """Decay of the running mean of the weights."""
    seed: int = Field(0, ge=0)
    """Added to the run's: of initial weights, the order of clients, stretches and dropout."""

    @model_validator(mode="after")
    def _consistent(self) -> "CentralTransformer":
        check_heads(self.heads, self.dim)
        return self

    def _network(self, clients: ClientBatch) -> Transformer:
        sizes = clients.n_items, clients.text.shape[1], self.dim, self.hidden
        return Transformer(*sizes, self.heads, self.blocks, self.history, self.text)

    def fit(self, training: ClientBatch) -> dict[str, Tensor]:
        """``weights``: float ``[size]``, the running mean after the last epoch."""
        network = self._network(training)
        weights = network.init(Key(self.seed).generator()).to(training.text)
        absent = torch.bincount(training.items, minlength=training.n_items) == 0
        steps = torch.zeros(1, dtype=torch.int64)
        mean, moments = weights, Moments(weights * 0, weights * 0, steps)
        for key, batch in self._batches(training):
            lr = self.lr * min(1.0, (int(moments.steps) + 1) / self.warmup)
            gradient = self._gradient(network, weights, batch, key, absent)
            weights, moments = adam(weights, gradient, moments, lr, self.betas)
            mean = mean.lerp(weights, 1 - self.average)
        return {"weights": mean}

    def _batches(self, training: ClientBatch) -> Iterator[tuple[Key, ClientBatch]]:
        """Clients with a history, each once an epoch, in an order that their numbers decide."""
        present = training.select(training.counts.nonzero()[:, 0])
        for epoch in range(self.epochs):
            key = Key(self.seed, round=epoch)
            order = key.to(Purpose.COHORT).words(present.clients, 0, 1)[:, 0].argsort()
            for places in order.split(self.batch_size):
                yield key, present.select(places)

    def _gradient(
        self, network: Transformer, weights: Tensor, batch: ClientBatch, key: Key, absent: Tensor
    ) -> Tensor:
        """Of the mean loss over all places of the batch, float ``[size]``."""
        total, places = torch.zeros_like(weights), 0
        by_length = batch.counts.argsort(descending=True, stable=True)
        for group in by_length.split(_GROUP):
            clients = batch.select(group)
            length = min(self.history + 1, int(clients.counts.max()))
            targets = clients.random_window(length, key.to(Purpose.SHUFFLE))
            sites = (network.dropout_sites, length, self.dim)
            masks = dropout_masks(
                key.to(Purpose.DROPOUT), clients.clients, *sites, rate=self.dropout
            )
            own = weights.detach().requires_grad_()
            params = network.unpack(own)
            losses = cross_entropy(network, params, targets, clients.text, masks, absent)
            total += torch.autograd.grad(losses.sum(), own)[0]
            places += int((targets >= 0).sum())
        return total / places

    def estimated_bytes(self, users: int, items: int, interactions: int) -> int:
        """Weights, moments, gradients and mean; and the logits of a group with their gradient."""
        weights = 8 * items * self.dim
        logits = 4 * _GROUP * (self.history + 1) * items
        return 4 * (weights + logits) + 64 * interactions

    def score(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """Every item's score after the whole history."""
        network = self._network(inputs)
        params = network.unpack(fitted["weights"])
        recent, length = inputs.last(self.history)
        states = network.states(params, recent[:, : int(length.max())], inputs.text)
        clients = torch.arange(len(inputs), device=length.device)
        return network.logits(params, states[clients, length])
