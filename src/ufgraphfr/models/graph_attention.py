"""Attention of a user over its own subgraph: items and anonymous neighbours, one layer.

Velickovic et al., "Graph attention networks", ICLR 2018: with ``z = W x``, node n's weight is the
softmax of ``leaky_relu(a_1 . z_u + a_2 . z_n)``; the user is one of its own nodes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ufgraphfr.models.stacked import Params

SLOPE = 0.2
"""Of the leaky rectifier, as published."""


def attend(
    network: Params,
    user: Tensor,
    items: Tensor,
    inside: Tensor,
    neighbors: Tensor,
    left_out: Tensor,
) -> Tensor:
    """Hidden vectors of the users, each with one item or none left out of the subgraph.

    Args:
        network: ``transform`` (W), float ``[clients, dim, dim]``, and ``attention`` (a_1 and a_2),
            float ``[clients, 2, dim]``.
        user: float ``[clients, dim]``.
        items: float ``[clients, n, dim]``, of the history.
        inside: bool ``[clients, n]``, which of these are no padding.
        neighbors: float ``[clients, m, dim + 1]``; the last number is 0 where there is none.
        left_out: int64 ``[clients, q]``, places in the history, -1 for none.

    Returns:
        float ``[clients, q, dim]``.
    """
    strangers, there = neighbors[..., :-1], neighbors[..., -1] > 0
    nodes = torch.cat((user[:, None], strangers, items), 1) @ network["transform"]
    known = torch.cat((torch.ones_like(there[:, :1]), there, inside), 1)
    from_user, from_node = network["attention"].unbind(1)
    logits = (nodes[:, 0] * from_user).sum(1, keepdim=True) + (nodes * from_node[:, None]).sum(2)
    logits = F.leaky_relu(logits, SLOPE).masked_fill(~known, -torch.inf)
    # the largest weight is 1, so that nothing overflows
    weights = (logits - logits.detach().amax(1, keepdim=True)).exp()
    weighted = weights[..., None] * nodes
    place = left_out.clamp(min=0) + 1 + neighbors.shape[1]
    without = (left_out >= 0).to(weights.dtype)
    own_weight = weights.gather(1, place) * without
    own = weighted.gather(1, place[..., None].expand(-1, -1, nodes.shape[2])) * without[..., None]
    total = weights.sum(1, keepdim=True) - own_weight
    # the user's own weight stays, but may be lost to rounding beside the item's
    return (weighted.sum(1, keepdim=True) - own) / total.clamp(min=1e-6)[..., None]
