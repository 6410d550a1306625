"""How devices train a shared Transformer: one gradient, or several steps on weights of their own.

A client's update is the mean gradient along its local steps, which for one step is the gradient
itself: McMahan et al., "Communication-efficient learning of deep networks from decentralized data",
AISTATS 2017, and, for the server's optimiser, Reddi et al., "Adaptive federated optimization", ICLR
2021. Plain local steps diverge here at any useful size, because the weights' curvatures differ by
orders of magnitude; so a device scales each coordinate as the server's Adam would.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.func import vmap

from ufgraphfr.algorithms.base import Update
from ufgraphfr.core.arrays.memo import memo
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Aggregation
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.models.dropout import dropout_masks
from ufgraphfr.models.next_item import cross_entropy, rows_needed, sampled_cross_entropy
from ufgraphfr.models.transformer import Params, Transformer

GROUP, GROUP_OF_A_SAMPLE = 8, 16
"""Clients trained at once: of like length, so that little is padding; results do not depend on
it. The more of them, the less often a sample's item vectors are gathered, and their gradient."""

FARTHEST = 5.0
"""No weight moves by more than this times ``local_lr`` in a local step: a weight whose gradients
the server has hardly seen (a late position) has next to no scale."""


@dataclass(frozen=True)
class SharedModel:
    """What every device knows of the model, and its weights.

    Attributes:
        network: the shapes of the weights.
        net: float ``[size]``, the shared weights that are trained.
        features: float ``[items, columns]``.
        absent: bool ``[items]``, items that nobody has.
        scale: float ``[size]``, of each weight's local steps.
        sample: int64 ``[sample]``, the items of this round's denominators, or None for all.
    """

    network: Transformer
    net: Tensor
    features: Tensor
    absent: Tensor
    scale: Tensor | None = None
    sample: Tensor | None = None

    def params(self, weights: Tensor, rows: Tensor | None = None) -> Params:
        """The network's weights by name, where these are trained; see `Transformer.unpack`."""
        return self.network.unpack(weights, self.features, rows)

    def next_scores(self, inputs: ClientBatch) -> Tensor:
        """Of what follows each history, float ``[clients, items]``."""
        params = _everything(self.network, self.net, self.features)
        recent, length = inputs.last(self.network.history)
        states = self.network.states(params, recent[:, : int(length.max())], inputs.text)
        clients = torch.arange(len(inputs), device=length.device)
        return self.network.logits(params, states[clients, length])


@memo
def _everything(network: Transformer, net: Tensor, features: Tensor) -> Params:
    """The weights by name, of the whole catalogue."""
    return network.unpack(net, features)


class SequenceTraining(Spec):
    """Hyper-parameters of training on a device."""

    counted: ClassVar[dict[str, str]] = {"candidates": "items"}

    local_steps: int = Field(1, ge=1)
    """Steps of descent, each on a window of the history and a dropout mask of its own."""
    local_lr: float = Field(1e-4, gt=0)
    """Learning rate of these steps, on the scale of the server's ``lr``."""
    dropout: float = Field(0.4, ge=0, lt=1)
    """Share of activations that training drops."""
    window: Literal["random", "recent"] = "random"
    """Train on a random window of a long history, or on its end."""
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

    def per_client(self, aggregation: Aggregation) -> bool:
        """Whether an answer holds each client's own update, and not their sum."""
        return aggregation is Aggregation.PER_CLIENT or self.local_steps > 1

    def update(
        self,
        model: SharedModel,
        batch: ClientBatch,
        key: Key,
        history: int,
        aggregation: Aggregation,
    ) -> Update:
        """The clients' ``gradient`` and how much each ``count``s.

        Args:
            model: weights and shapes.
            batch: the clients' data, most interactions first.
            key: seed and round.
            history: L, items the Transformer sees.
            aggregation: if a sum will do, no single client's update is formed where that is
                cheaper.
        """
        per_client = self.per_client(aggregation)
        sample = None if per_client else model.sample
        size = GROUP if sample is None else GROUP_OF_A_SAMPLE
        positions = torch.arange(len(batch), device=batch.items.device).split(size)
        groups = [batch.select(each) for each in positions]
        if sample is not None:
            windows = (self._windows(model, group, key, history, 0) for group in groups)
            return self._added(model, sample, windows)
        found = [self._group(model, group, key, history, per_client) for group in groups]
        gradients, losses, lengths = zip(*found, strict=True)
        loss, length = torch.cat(losses), torch.cat(lengths)
        count = self._counted(length)
        if not per_client:
            total = torch.stack(gradients).sum(0)
            return Update({"gradient": total, "count": count.sum()[None]}, loss, summed=True)
        # in place: each client has as many numbers as the model
        gradient = torch.cat(gradients)
        if self.weighting == "positions":
            gradient.mul_(count[:, None])
        return Update({"gradient": gradient, "count": count[:, None]}, loss)

    def _group(
        self, model: SharedModel, batch: ClientBatch, key: Key, history: int, per_client: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradient (each client's mean, or the weighted sum), losses, and positions trained on."""
        weights, losses = model.net.detach(), []
        total: Tensor | None = None
        gradient: Tensor | None = None
        for step in range(self.local_steps):
            windows = self._windows(model, batch, key, history, step)
            if not per_client:
                return self._summed(model, windows)
            if gradient is not None and model.scale is not None:
                moved = torch.mul(model.scale, gradient).clamp_(-FARTHEST, FARTHEST)
                weights = torch.sub(weights, moved, alpha=self.local_lr)
            gradient, loss = _each(model, weights, windows)
            losses.append(loss)
            total = gradient if total is None else total.add_(gradient)
        assert total is not None
        return total.div_(self.local_steps), torch.stack(losses).mean(0), windows.length

    def _counted(self, length: Tensor) -> Tensor:
        """How much each client counts, from how many positions it trained on."""
        return length if self.weighting == "positions" else torch.ones_like(length)

    def _added(self, model: SharedModel, sample: Tensor, groups: Iterable["_Windows"]) -> Update:
        """What `update` gives, of groups of clients one after the other.

        Of item vectors, those that a group reads are gathered and no others: a pass over a large
        catalogue takes longer than all that a group does with its own.
        """
        net, losses, counts = model.net.detach(), [], []
        gradient = torch.zeros_like(net)
        vectors, bias, rest = model.network.divided(gradient)
        for windows in groups:
            rows = rows_needed(windows.targets, sample)
            read = model.network.read(net, rows)
            for part in read:
                part.requires_grad_()
            params = model.network.named_rows(*read, model.features.index_select(0, rows))
            each = _sampled_losses(model, params, windows.targets, windows.text, windows.dropout)
            loss = each.sum(1) / windows.length
            total = each.sum() if self.weighting == "positions" else loss.sum()
            of_vectors, of_bias, of_rest = torch.autograd.grad(total, read)
            vectors.index_add_(0, rows, of_vectors)
            bias.index_add_(0, rows, of_bias)
            rest += of_rest
            losses.append(loss.detach())
            counts.append(self._counted(windows.length))
        count = torch.cat(counts).sum()[None]
        return Update({"gradient": gradient, "count": count}, torch.cat(losses), summed=True)

    def _summed(self, model: SharedModel, windows: "_Windows") -> tuple[Tensor, Tensor, Tensor]:
        """The gradient of the group's summed loss, without forming each client's."""
        weights = model.net.detach().requires_grad_()
        losses = _losses(model, weights, windows.targets, windows.text, windows.dropout)
        loss = losses.sum(1) / windows.length
        total = losses.sum() if self.weighting == "positions" else loss.sum()
        (gradient,) = torch.autograd.grad(total, weights)
        return gradient, loss.detach(), windows.length

    def _windows(
        self, model: SharedModel, batch: ClientBatch, key: Key, history: int, step: int
    ) -> "_Windows":
        targets = self.window_of(batch, key.to(Purpose.SHUFFLE, step), history)
        masks = dropout_masks(
            key.to(Purpose.DROPOUT, step),
            batch.clients,
            model.network.dropout_sites,
            targets.shape[1],
            model.network.dim,
            self.dropout,
        )
        return _Windows(targets, batch.text, masks, (targets >= 0).sum(1).to(model.net))

    def window_of(self, batch: ClientBatch, key: Key, history: int) -> Tensor:
        """The part of each history to train on, int64 ``[clients, length]`` padded right."""
        length = min(history + 1, int(batch.counts.max()))
        if self.window == "recent":
            return batch.last(length)[0]
        return batch.random_window(length, key)


@dataclass(frozen=True)
class _Windows:
    """What one step trains on; see `cross_entropy`."""

    targets: Tensor
    text: Tensor
    dropout: Tensor | None
    length: Tensor


def _each(model: SharedModel, weights: Tensor, windows: _Windows) -> tuple[Tensor, Tensor]:
    """Each client's gradient of its mean loss, ``[clients, size]``, and that loss.

    Args:
        model: shapes.
        weights: ``[size]``, shared, or each client's own, ``[clients, size]``.
        windows: what is trained on.
    """

    def loss(weights: Tensor, targets: Tensor, text: Tensor, dropout: Tensor | None) -> Tensor:
        return _losses(model, weights, targets, text, dropout).sum()

    # a client's loss depends on its row alone; `torch.func.grad` would import a compiler
    each = weights.expand(len(windows.targets), -1).detach().requires_grad_()
    axes = (0, 0, 0, None if windows.dropout is None else 1)
    total = vmap(loss, in_dims=axes)(each, windows.targets, windows.text, windows.dropout)
    mean = total / windows.length
    (gradient,) = torch.autograd.grad(mean.sum(), each)
    return gradient, mean.detach()


def _losses(
    model: SharedModel, weights: Tensor, targets: Tensor, text: Tensor, dropout: Tensor | None
) -> Tensor:
    """Each position's loss, see `cross_entropy` and `sampled_cross_entropy`."""
    if model.sample is None:
        windows = targets, text, dropout, model.absent
        return cross_entropy(model.network, model.params(weights), *windows)
    params = model.params(weights, rows_needed(targets, model.sample))
    return _sampled_losses(model, params, targets, text, dropout)


def _sampled_losses(
    model: SharedModel, params: Params, targets: Tensor, text: Tensor, dropout: Tensor | None
) -> Tensor:
    """The same where a sample says what the denominator is; ``params`` are of `rows_needed`."""
    assert model.sample is not None
    windows = targets, text, dropout, model.absent
    return sampled_cross_entropy(model.network, params, *windows, model.sample)
