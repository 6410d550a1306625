"""The loss of a sequence model: cross-entropy of the next item at every place of a stretch."""

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
    """Each place's cross-entropy over the catalogue.

    Args:
        network: the shapes.
        params: the weights.
        targets: int64 ``[..., length]``, a stretch of a history, -1 after its end.
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
