"""The loss of a sequence model: cross-entropy of the next item at every position of a window.

Over the whole catalogue, or with its denominator estimated from a sample: Bengio and Senécal,
"Adaptive importance sampling to accelerate training of a neural probabilistic language model", IEEE
Trans. Neural Networks 19(4), 2008; for sequences of items Klenitskiy and Vasilev, RecSys 2023. With
C' sampled items besides the target t, drawn uniformly from the other ``items - 1``, the denominator
``exp(s_t) + sum of exp(s_j + log((items - 1) / C'))`` is unbiased, and with everything sampled it
is the softmax itself.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ufgraphfr.models.transformer import Params, Transformer

_NEVER = -1e9
"""The score of an item that is not on offer."""


def cross_entropy(
    network: Transformer,
    params: Params,
    targets: Tensor,
    text: Tensor,
    dropout: Tensor | None,
    absent: Tensor,
) -> Tensor:
    """Each position's cross-entropy over the catalogue.

    Args:
        network: the shapes.
        params: the weights.
        targets: int64 ``[..., length]``, a window of a history, -1 after its end.
        text: float ``[..., text_width]``.
        dropout: masks, see `Transformer.states`.
        absent: bool ``[items]``, items that are not on offer.

    Returns:
        float ``[..., length]``, zero after the end.
    """
    states = network.states(params, targets[..., :-1], text, dropout)
    chances = network.logits(params, states).masked_fill(absent, _NEVER).log_softmax(-1)
    # by hand: under `torch.func.vmap` the library's own loss imports a compiler, 60 MB
    losses = -chances.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return losses.masked_fill(targets < 0, 0.0)


def rows_needed(targets: Tensor, sample: Tensor) -> Tensor:
    """The items whose vectors `sampled_cross_entropy` reads, int64 ``[places + sample]``.

    A tenth of a large catalogue is gathered once, instead of passing over all of it.
    """
    return torch.cat((targets.clamp(min=0).flatten(), sample))


def sampled_cross_entropy(
    network: Transformer,
    params: Params,
    targets: Tensor,
    text: Tensor,
    dropout: Tensor | None,
    absent: Tensor,
    sample: Tensor,
) -> Tensor:
    """Each position's cross-entropy, estimated.

    Args:
        network: the shapes.
        params: the weights, of items those of `rows_needed`.
        targets: int64 ``[..., length]``, a window of a history, -1 after its end.
        text: float ``[..., text_width]``.
        dropout: masks, see `Transformer.states`.
        absent: bool ``[items]``, items that are not on offer.
        sample: int64 ``[sample]``, distinct items, uniformly drawn, for everybody the same.

    Returns:
        float ``[..., length]``, zero after the end.
    """
    here = torch.arange(targets.numel(), device=targets.device).view(targets.shape)
    states = network.states(params, here[..., :-1], text, dropout)
    target_vectors, drawn = params["item.weight"].split((targets.numel(), len(sample)))
    bias, others_bias = params["item.bias"].split((targets.numel(), len(sample)))
    target = (states * target_vectors.view(states.shape)).sum(-1) + bias.view(targets.shape)
    others = F.linear(states, drawn, others_bias.masked_fill(absent[sample], _NEVER))
    place = torch.full_like(absent, -1, dtype=torch.int64)
    place[sample] = torch.arange(len(sample), device=sample.device)
    place = place[targets.clamp(min=0)][..., None]
    hit = (place >= 0).long()
    # in place of what each of the others stands for, the target is less likely by as much
    stands_for = (network.items - 1) / (len(sample) - hit).clamp(min=1)
    scores = torch.cat((target[..., None] - stands_for.log(), others), -1)
    # the target counts once, as itself: in the sample it is not on offer
    scores.scatter_add_(-1, place + 1, _NEVER * hit)
    losses = -scores.log_softmax(-1)[..., 0]
    return losses.masked_fill(targets < 0, 0.0)
