"""How devices train a shared Transformer: one gradient, or several steps on weights of their own.

A client's update is the mean gradient along its local steps, which for one step is the gradient
itself: McMahan et al., "Communication-efficient learning of deep networks from decentralized data",
AISTATS 2017, and, for the server's optimiser, Reddi et al., "Adaptive federated optimization", ICLR
2021. Plain local steps diverge here at any useful size, because the weights' curvatures differ by
orders of magnitude; so a device scales each coordinate as the server's Adam would.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.func import vmap

from ufgraphfr.algorithms.base import Update
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.models.dropout import dropout_masks
from ufgraphfr.models.next_item import cross_entropy
from ufgraphfr.models.sampled_softmax import rows_needed, sampled_cross_entropy
from ufgraphfr.models.transformer import Params, Transformer

GROUP = 8
"""Clients trained at once: of like length, so that little is padding; results do not depend on
it."""

FARTHEST = 5.0
"""No weight moves by more than this times ``local_lr`` in a local step: a weight whose gradients
the server has hardly seen (a late position) has next to no scale."""


@dataclass(frozen=True)
class Public:
    """What every device knows.

    Attributes:
        network: the shapes of the weights.
        net: float ``[size]``, the shared weights that are trained.
        features: float ``[items, columns]``.
        absent: bool ``[items]``, items that nobody has.
        scale: float ``[size]``, of each weight's local steps.
        sample: int64 ``[sample]``, the items of this round's denominators, or None for all.
        fixed: the weights that are not trained, by name.
    """

    network: Transformer
    net: Tensor
    features: Tensor
    absent: Tensor
    scale: Tensor | None = None
    sample: Tensor | None = None
    fixed: Params | None = None

    def params(self, weights: Tensor, rows: Tensor | None = None) -> Params:
        """The network's weights by name, where these are trained; see `Transformer.unpack`."""
        return self.network.unpack(weights, self.features, self.fixed, rows)


class SequenceTraining(Spec):
    """Hyper-parameters of training on a device."""

    local_steps: int = Field(1, ge=1)
    """Steps of descent, each on a stretch of the history and a dropout mask of its own."""
    local_lr: float = Field(1e-4, gt=0)
    """Learning rate of these steps, on the scale of the server's ``lr``."""
    dropout: float = Field(0.4, ge=0, lt=1)
    window: Literal["random", "recent"] = "random"
    """Train on a random stretch of a long history, or on its end."""
    weighting: Literal["positions", "clients"] = "positions"
    """Whether each position of the cohort counts once, or each client."""
    candidates: int | None = Field(None, ge=2)
    """Items, drawn anew for each round and public, from which the softmax's denominator is
    estimated; None computes it over the whole catalogue."""

    def sample(self, items: int, key: Key) -> Tensor | None:
        """This round's candidates, int64 ``[candidates]`` on the CPU, the same for all clients."""
        if self.candidates is None:
            return None
        generator = key.to(Purpose.NEGATIVES).generator()
        return torch.randperm(items, generator=generator)[: self.candidates]

    def update(
        self, public: Public, shard: ClientBatch, key: Key, history: int, together: bool = False
    ) -> Update:
        """The clients' ``gradient`` and how much each ``count``s.

        Args:
            public: weights and shapes.
            shard: the clients' data, most interactions first.
            key: seed and round.
            history: L, items the Transformer sees.
            together: whether updates may be added up here, which takes one gradient for all.
        """
        each = not together or self.local_steps > 1
        groups = [
            self._group(public, shard.select(places), key, history, each)
            for places in torch.arange(len(shard), device=shard.items.device).split(GROUP)
        ]
        gradients, losses, lengths = zip(*groups, strict=True)
        loss, length = torch.cat(losses), torch.cat(lengths)
        count = length if self.weighting == "positions" else torch.ones_like(length)
        if not each:
            total = torch.stack(gradients).sum(0)
            return Update({"gradient": total, "count": count.sum()[None]}, loss, summed=True)
        # in place: each client has as many numbers as the model
        gradient = torch.cat(gradients)
        if self.weighting == "positions":
            gradient.mul_(count[:, None])
        return Update({"gradient": gradient, "count": count[:, None]}, loss)

    def _group(
        self, public: Public, shard: ClientBatch, key: Key, history: int, each: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradient (each client's mean, or the weighted sum), losses, and positions trained on."""
        weights, losses = public.net.detach(), []
        total: Tensor | None = None
        gradient: Tensor | None = None
        for step in range(self.local_steps):
            batch = self._batch(public, shard, key, history, step)
            if not each:
                return self._summed(public, batch)
            if gradient is not None and public.scale is not None:
                moved = torch.mul(public.scale, gradient).clamp_(-FARTHEST, FARTHEST)
                weights = torch.sub(weights, moved, alpha=self.local_lr)
            gradient, loss = _each(public, weights, batch)
            losses.append(loss)
            total = gradient if total is None else total.add_(gradient)
        assert total is not None
        return total.div_(self.local_steps), torch.stack(losses).mean(0), batch.length

    def _summed(self, public: Public, batch: "_Batch") -> tuple[Tensor, Tensor, Tensor]:
        """The gradient of the group's summed loss, without forming each client's."""
        weights = public.net.detach().requires_grad_()
        places = _losses(public, weights, batch.targets, batch.text, batch.dropout)
        loss = places.sum(1) / batch.length
        total = places.sum() if self.weighting == "positions" else loss.sum()
        (gradient,) = torch.autograd.grad(total, weights)
        return gradient, loss.detach(), batch.length

    def _batch(
        self, public: Public, shard: ClientBatch, key: Key, history: int, step: int
    ) -> "_Batch":
        targets = self._stretch(shard, key.to(Purpose.SHUFFLE, step), history)
        length = targets.shape[1]
        masks = dropout_masks(
            key.to(Purpose.DROPOUT, step),
            shard.clients,
            public.network.dropout_sites,
            length,
            public.network.dim,
            self.dropout,
        )
        return _Batch(targets, shard.text, masks, (targets >= 0).sum(1).to(public.net))

    def _stretch(self, shard: ClientBatch, key: Key, history: int) -> Tensor:
        """The part of each history to train on, int64 ``[clients, length]`` padded right."""
        length = min(history + 1, int(shard.counts.max()))
        if self.window == "recent":
            return shard.last(length)[0]
        return shard.random_stretch(length, key)


@dataclass(frozen=True)
class _Batch:
    """What one step trains on; see `cross_entropy`."""

    targets: Tensor
    text: Tensor
    dropout: Tensor | None
    length: Tensor


def _each(public: Public, weights: Tensor, batch: _Batch) -> tuple[Tensor, Tensor]:
    """Each client's gradient of its mean loss, ``[clients, size]``, and that loss.

    Args:
        public: shapes.
        weights: ``[size]``, shared, or each client's own, ``[clients, size]``.
        batch: what is trained on.
    """

    def loss(own: Tensor, targets: Tensor, text: Tensor, dropout: Tensor | None) -> Tensor:
        return _losses(public, own, targets, text, dropout).sum()

    # a client's loss depends on its own row alone; `torch.func.grad` would import a compiler
    own = weights.expand(len(batch.targets), -1).detach().requires_grad_()
    along = (0, 0, 0, None if batch.dropout is None else 1)
    total = vmap(loss, in_dims=along)(own, batch.targets, batch.text, batch.dropout)
    mean = total / batch.length
    (gradient,) = torch.autograd.grad(mean.sum(), own)
    return gradient, mean.detach()


def _losses(
    public: Public, weights: Tensor, targets: Tensor, text: Tensor, dropout: Tensor | None
) -> Tensor:
    """Each place's loss, see `cross_entropy` and `sampled_cross_entropy`."""
    own = targets, text, dropout, public.absent
    if public.sample is None:
        return cross_entropy(public.network, public.params(weights), *own)
    params = public.params(weights, rows_needed(targets, public.sample))
    return sampled_cross_entropy(public.network, params, *own, public.sample)
