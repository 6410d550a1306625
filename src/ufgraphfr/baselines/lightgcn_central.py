"""LightGCN as published, trained centrally: everybody's rows, a free vector for each user.

He, Deng, Wang, Li, Zhang, Wang, "LightGCN: simplifying and powering graph convolution network for
recommendation", SIGIR 2020. Over the bipartite graph A of users and items, normalised by
``1 / sqrt(n_u d_i)``, an embedding is the mean of the layers E, A E, ..., A^L E; it is trained by
the BPR loss with one drawn item against each observed one. What a federation without free user
vectors costs, and a softmax gains, is the difference of the algorithm ``lightgcn`` to it.

A is symmetric: a gradient goes back through the layers as vectors went forth. The layers of a user
are those of the input at test time, which may be longer than the history in training.
"""

from typing import final

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.arrays.sparse_rows import owners, pointers
from ufgraphfr.core.keys import Key
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.adam import Moments, adam
from ufgraphfr.ops.recency import propagate

_STEPS_AN_EPOCH = 12
"""Batches are as large as gives about so many: each costs all layers, both ways."""


@final
class CentralLightGCN(Baseline):
    """LightGCN with BPR."""

    dim: int = Field(64, ge=1)
    """Length of an embedding."""
    layers: int = Field(2, ge=0)
    """L, steps over the graph."""
    epochs: int = Field(100, ge=1)
    """Passes over the interactions."""
    batch_size: int | None = Field(None, ge=1)
    """Interactions a step; None: a twelfth of them, at least 2,048."""
    lr: float = Field(0.01, gt=0)
    """Adam's learning rate."""
    weight_decay: float = Field(1e-3, ge=0)
    """Of the embeddings that a batch names."""
    init_std: float = Field(0.1, gt=0)
    """Standard deviation of the initial embeddings."""
    seed: int = Field(0, ge=0)
    """Added to the run's: of initial embeddings, the order of interactions, drawn items."""

    def fit(self, training: ClientBatch) -> dict[str, Tensor]:
        """Arrays of the trained graph.

        ``clients``, int64, ascending; ``users`` ``[clients, dim]``, layer 0; ``items`` and
        ``below`` ``[items, dim]``, the mean of all layers and the sum of all but the last;
        ``counts`` ``[items]``.
        """
        training = training.select(training.clients.argsort())
        graph, users = _Graph(training), len(training)
        generator = Key(self.seed).generator()
        nodes = users + training.n_items
        table = torch.randn(nodes, self.dim, generator=generator) * self.init_std
        table = table.to(training.text)
        moments = Moments(table * 0, table * 0, torch.zeros(1, dtype=torch.int64))
        size = self.batch_size or max(2048, -(-len(training.items) // _STEPS_AN_EPOCH))
        for _ in range(self.epochs):
            order = torch.randperm(len(training.items), generator=generator)
            for places in order.to(training.items.device).split(size):
                against = torch.randint(training.n_items, (len(places),), generator=generator)
                batch = graph.owner[places], training.items[places], against.to(places.device)
                gradient = self._gradient(graph, table, batch, users)
                table, moments = adam(table, gradient, moments, self.lr, (0.9, 0.999))
        below = graph.layers(table, self.layers)[:-1]
        return {
            "clients": training.clients,
            "users": table[:users],
            "items": graph.mean(table, self.layers)[users:],
            "below": (torch.stack(below).sum(0) if below else table * 0)[users:],
            "counts": graph.counts,
        }

    def _gradient(
        self, graph: "_Graph", table: Tensor, batch: tuple[Tensor, Tensor, Tensor], users: int
    ) -> Tensor:
        """Of the mean BPR loss and the weight decay, with respect to layer 0."""
        free = ~graph.has(batch[0], batch[2])
        user, item, against = (each[free] for each in batch)
        item, against = item + users, against + users
        hidden = graph.mean(table, self.layers)
        hidden.requires_grad_()
        difference = (hidden[user] * (hidden[against] - hidden[item])).sum(1)
        (gradient,) = torch.autograd.grad(softplus(difference).mean(), hidden)
        back = graph.mean(gradient, self.layers)
        named = torch.cat((user, item, against))
        share = self.weight_decay / max(1, len(user))
        return back.index_add(0, named, table[named], alpha=share)

    def score(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """Products of all items with the users' mean over layers; an unknown user has no own."""
        known = fitted["clients"]
        place = torch.searchsorted(known, inputs.clients).clamp(max=len(known) - 1)
        trained = (known[place] == inputs.clients) & (inputs.counts > 0)
        own = fitted["users"][place] * trained[:, None]
        length = inputs.counts.repeat_interleave(inputs.counts)
        weights = (length * fitted["counts"][inputs.items].clamp(min=1)).rsqrt()
        reached = propagate(inputs.ptr, inputs.items, weights, fitted["below"])
        return (own + reached) / (self.layers + 1) @ fitted["items"].T

    def estimated_bytes(self, users: int, items: int, interactions: int) -> int:
        """The graph in both directions; layers, moments and gradients of both sides."""
        tables = self.layers + 8
        return 4 * tables * self.dim * (users + items) + 64 * interactions


class _Graph:
    """The normalised bipartite graph of users, then items."""

    def __init__(self, training: ClientBatch) -> None:
        users, items = len(training), training.n_items
        self.owner = owners(training.ptr, len(training.items))
        self.counts = torch.bincount(training.items, minlength=items)
        self._pairs = (self.owner * items + training.items).sort().values
        self._items = items
        by_item = training.items.argsort(stable=True)
        self._index = torch.cat((training.items + users, self.owner[by_item]))
        self._ptr = pointers(torch.cat((training.counts, self.counts)))
        degree = torch.cat((training.counts, self.counts)).clamp(min=1).float()
        row = owners(self._ptr, len(self._index))
        self._value = (degree[row] * degree[self._index]).rsqrt()

    def layers(self, table: Tensor, count: int) -> list[Tensor]:
        """E, A E, ..., A^count E, each ``[users and items, dim]``."""
        found = [table]
        for _ in range(count):
            found.append(propagate(self._ptr, self._index, self._value, found[-1]))
        return found

    def mean(self, table: Tensor, count: int) -> Tensor:
        """Of the layers 0 to ``count``."""
        return torch.stack(self.layers(table, count)).mean(0)

    def has(self, user: Tensor, item: Tensor) -> Tensor:
        """Whether the user has the item, bool, by places."""
        pairs = user * self._items + item
        place = torch.searchsorted(self._pairs, pairs).clamp(max=len(self._pairs) - 1)
        return self._pairs[place] == pairs
