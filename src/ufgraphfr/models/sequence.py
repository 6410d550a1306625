"""One causal Transformer block over a user's recent items, on stacked weights.

Vaswani et al., "Attention is all you need", NeurIPS 2017: post-norm, ReLU, dropout on the output
of each sub-layer (section 5.4). Sequences are padded on the right, so the causal mask alone keeps
padding from being seen.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ufgraphfr.models.stacked import Params, init_linear, init_norm, layer_norm, linear

DROPOUT_SITES = 2


def init_block(dim: int, hidden: int, generator: torch.Generator) -> Params:
    """One client's block."""
    return (
        init_linear("attention.in", dim, 3 * dim, generator)
        | init_linear("attention.out", dim, dim, generator)
        | init_norm("norm.1", dim)
        | init_linear("ffn.in", dim, hidden, generator)
        | init_linear("ffn.out", hidden, dim, generator)
        | init_norm("norm.2", dim)
    )


def block(params: Params, x: Tensor, heads: int, dropout: Tensor | None) -> Tensor:
    """The block's outputs; position t sees positions up to t.

    Args:
        params: stacked weights as of `init_block`.
        x: float ``[clients, length, dim]``.
        heads: attention heads; they divide ``dim``.
        dropout: scaled masks ``[2, clients, length, dim]``, or None outside training.
    """
    attended = _attention(params, x, heads)
    if dropout is not None:
        attended = attended * dropout[0]
    x = layer_norm(x + attended, params["norm.1.gain"], params["norm.1.bias"])
    hidden = linear(x, params["ffn.in.weight"], params["ffn.in.bias"]).relu()
    out = linear(hidden, params["ffn.out.weight"], params["ffn.out.bias"])
    if dropout is not None:
        out = out * dropout[1]
    return layer_norm(x + out, params["norm.2.gain"], params["norm.2.bias"])


def _attention(params: Params, x: Tensor, heads: int) -> Tensor:
    clients, length, dim = x.shape
    projected = linear(x, params["attention.in.weight"], params["attention.in.bias"])
    parts = projected.view(clients, length, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True)
    joined = mixed.transpose(1, 2).reshape(clients, length, dim)
    return linear(joined, params["attention.out.weight"], params["attention.out.bias"])
