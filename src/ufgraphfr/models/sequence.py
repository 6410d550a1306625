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
    first, second = (None, None) if dropout is None else dropout
    x = _joined(x, _attention(params, x, heads), first)
    x = layer_norm(x, params["norm.1.gain"], params["norm.1.bias"])
    hidden = linear(x, params["ffn.in.weight"], params["ffn.in.bias"]).relu_()
    out = linear(hidden, params["ffn.out.weight"], params["ffn.out.bias"])
    return layer_norm(_joined(x, out, second), params["norm.2.gain"], params["norm.2.bias"])


def _joined(x: Tensor, branch: Tensor, mask: Tensor | None) -> Tensor:
    """The residual sum, ``branch`` under its dropout mask."""
    return x + branch if mask is None else torch.addcmul(x, branch, mask)


def _attention(params: Params, x: Tensor, heads: int) -> Tensor:
    clients, length, dim = x.shape
    projected = linear(x, params["attention.in.weight"], params["attention.in.bias"])
    # cut by chunk(), whose gradient is one cat(); indexing's would fill three tensors with zeros
    query, key, value = (
        part.view(clients, length, heads, -1).transpose(1, 2) for part in projected.chunk(3, dim=2)
    )
    mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    joined = mixed.transpose(1, 2).reshape(clients, length, dim)
    return linear(joined, params["attention.out.weight"], params["attention.out.bias"])
