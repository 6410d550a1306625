"""Each client's own transitions: which of its items follow which, a contribution of length one."""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import Rows, pointers


def transitions_of(last: Tensor, kept: Tensor, damping: Tensor, items: int, reach: int) -> Rows:
    """What followed what among some kept items.

    Args:
        last: int64 ``[clients, length]``, recent items in time order, distinct within a client,
            -1 after the last.
        kept: int64 ``[size]``, the items among which.
        damping: float ``[size]``, what each of them counts for, before and after.
        items: how many there are.
        reach: the farthest distance counted.

    Returns:
        ``[clients, size * size, 1]``, each client's of L2 length 1, or nothing.
    """
    position = torch.full((items,), -1, device=kept.device)
    position[kept] = torch.arange(len(kept), device=kept.device)
    recent = torch.where(last >= 0, position[last.clamp(min=0)], -1)
    owner, before, after, weight = followed(recent, reach)
    weight = weight * damping[before] * damping[after]
    square = weight.new_zeros(len(last)).index_add_(0, owner, weight.square())
    values = weight / square[owner].sqrt()
    ptr = pointers(torch.bincount(owner, minlength=len(last)))
    return Rows(ptr, before * len(kept) + after, values[:, None], len(kept) ** 2)


def followed(recent: Tensor, reach: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Each client's transitions, one by one.

    Args:
        recent: int64 ``[clients, length]``, in time order, distinct within a client; negative
            where there is none.
        reach: the farthest distance counted.

    Returns:
        Client, item before, item after (int64) and weight 1 / sqrt(distance) (float), each
        ``[transitions]``, client after client.
    """
    columns = []
    for gap in range(1, min(reach, recent.shape[1] - 1) + 1):
        before, after = recent[:, :-gap], recent[:, gap:]
        owner, position = ((before >= 0) & (after >= 0)).nonzero(as_tuple=True)
        weight = torch.full((len(owner),), gap**-0.5, device=recent.device)
        columns.append((owner, before[owner, position], after[owner, position], weight))
    owner, before, after, weight = (torch.cat(values) for values in zip(*columns, strict=True))
    order = owner.argsort(stable=True)
    return owner[order], before[order], after[order], weight[order]


def beyond_chance(links: Tensor) -> Tensor:
    """Noised transitions minus what items' own frequencies explain, float ``[size, size]``.

    Popularity says that much already, and with hardly any noise: a row's or a column's sum has
    ``sqrt(size)`` times the noise of one number, and as much signal as all numbers in it.
    """
    before, after = links.sum(1).clamp(min=0), links.sum(0).clamp(min=0)
    return links - torch.outer(before, after) / links.sum().clamp(min=1.0)
