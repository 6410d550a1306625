"""Item-item counts: sums over clients of small contributions, and nothing else.

Co-interactions: G = sum over clients of x x^T, x in {0, 1}^items the client's history.
Transitions: T[i, j] = sum over clients and gaps g of 1/g where j comes g places after i.
"""

import torch
from torch import Tensor

from ufgraphfr.core.rows import owners

_CHUNK = 1024
"""Clients written out dense at a time; bounds memory at ``_CHUNK * items`` floats."""


def co_interactions(ptr: Tensor, items: Tensor, catalogue: int) -> Tensor:
    """How many clients have both items.

    Args:
        ptr: int64 ``[clients + 1]``, the clients' places in ``items``.
        items: int64 ``[rows]``, distinct within a client.
        catalogue: how many items there are.

    Returns:
        float32 ``[catalogue, catalogue]``, symmetric, exact below 2**24; the diagonal holds the
        items' counts.
    """
    gram = torch.zeros(catalogue, catalogue, device=items.device)
    for first in range(0, len(ptr) - 1, _CHUNK):
        bounds = ptr[first : first + _CHUNK + 1]
        own = items[int(bounds[0]) : int(bounds[-1])]
        dense = gram.new_zeros(len(bounds) - 1, catalogue)
        dense[owners(bounds, len(own)), own] = 1
        gram.addmm_(dense.T, dense)
    return gram


def transitions(ptr: Tensor, items: Tensor, catalogue: int, gaps: int) -> Tensor:
    """How often one item follows another within some places, near ones counting more.

    Args:
        ptr: int64 ``[clients + 1]``, the clients' places in ``items``.
        items: int64 ``[rows]``, in time order.
        catalogue: how many items there are.
        gaps: the farthest distance counted.

    Returns:
        float32 ``[catalogue, catalogue]``; row ``i`` holds what follows item ``i``.
    """
    owner = owners(ptr, len(items))
    counts = torch.zeros(catalogue**2, device=items.device)
    for gap in range(1, gaps + 1):
        before, after = items[:-gap], items[gap:]
        pair = (before * catalogue + after)[owner[:-gap] == owner[gap:]]
        counts.index_add_(0, pair, counts.new_full((len(pair),), 1 / gap))
    return counts.view(catalogue, catalogue)


def followed(recent: Tensor, gaps: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Each client's own transitions, one by one.

    Args:
        recent: int64 ``[clients, length]``, in time order, distinct within a client; negative
            where there is none.
        gaps: the farthest distance counted.

    Returns:
        Client, item before, item after (int64) and weight 1 / distance (float), each
        ``[transitions]``, client after client.
    """
    found = []
    for gap in range(1, min(gaps, recent.shape[1] - 1) + 1):
        before, after = recent[:, :-gap], recent[:, gap:]
        owner, place = ((before >= 0) & (after >= 0)).nonzero(as_tuple=True)
        weight = torch.full((len(owner),), 1 / gap, device=recent.device)
        found.append((owner, before[owner, place], after[owner, place], weight))
    owner, before, after, weight = (torch.cat(column) for column in zip(*found, strict=True))
    order = owner.argsort(stable=True)
    return owner[order], before[order], after[order], weight[order]


def ridge_operator(gram: Tensor, ridge: float) -> Tensor:
    """EASE (Steck, WWW 2019): with P = (G + ridge I)^-1, B_ij = -P_ij / P_jj off the diagonal.

    Args:
        gram: float ``[items, items]``, the co-interactions.
        ridge: lambda in the paper.

    Returns:
        float32 ``[items, items]``, from history item to candidate, zero on the diagonal.
    """
    regular = gram.double()
    regular.diagonal().add_(ridge)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(regular))
    return (-inverse / inverse.diagonal()).fill_diagonal_(0).float().contiguous()


def transition_operator(counts: Tensor, total: Tensor, shrink: float) -> Tensor:
    """M_ij = T_ij / (sqrt(n_i n_j) + shrink).

    Args:
        counts: float ``[items, items]``, T, the transitions.
        total: ``[items]``, n, how many clients have each item.
        shrink: pulls transitions between rare items to zero.

    Returns:
        float32 ``[items, items]``, from history item to candidate.
    """
    # an item nobody has has no transitions either
    root = total.clamp(min=1).float().sqrt()
    return counts.float() / (torch.outer(root, root) + shrink)
