"""What links items, of each client a contribution of length one.

Where the order of a history means something that is which of its items follow which, elsewhere
which of them are had together.
"""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import Rows, pointers, ranges


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
    owner, before, after, weight = followed(_places(last, kept, items), reach)
    weight = weight * damping[before] * damping[after]
    return _of_length_one(owner, before * len(kept) + after, weight, len(last), len(kept) ** 2)


def pairs_of(last: Tensor, kept: Tensor, damping: Tensor, items: int, most: int) -> Rows:
    """What was had together of some kept items.

    Args:
        last: int64 ``[clients, length]``, items, distinct within a client, -1 after the last.
        kept: int64 ``[size]``, the items among which.
        damping: float ``[size]``, what each of them counts for.
        items: how many there are.
        most: kept items of a client whose pairs count, those at its end.

    Returns:
        ``[clients, size * size, 1]``, each client's of L2 length 1, or nothing: a pair is a number
        above the diagonal.
    """
    owner, place = _ends(_places(last, kept, items), most)
    counts = torch.bincount(owner, minlength=len(last))
    ptr = pointers(counts)
    partner = ranges(ptr[owner], counts[owner])
    before = place.repeat_interleave(counts[owner])
    after, owner = place[partner], owner[partner]
    above = before < after
    before, after, owner = before[above], after[above], owner[above]
    cells, weight = before * len(kept) + after, damping[before] * damping[after]
    return _of_length_one(owner, cells, weight, len(last), len(kept) ** 2)


def _of_length_one(owner: Tensor, cells: Tensor, weight: Tensor, clients: int, size: int) -> Rows:
    """Each client's numbers, ``[clients, size, 1]``, client after client, of L2 length 1."""
    square = weight.new_zeros(clients).index_add_(0, owner, weight.square())
    values = weight / square[owner].sqrt()
    ptr = pointers(torch.bincount(owner, minlength=clients))
    return Rows(ptr, cells, values[:, None], size)


def _places(last: Tensor, kept: Tensor, items: int) -> Tensor:
    """Where items are among those that are kept, -1 for others."""
    position = torch.full((items,), -1, device=kept.device)
    position[kept] = torch.arange(len(kept), device=kept.device)
    return torch.where(last >= 0, position[last.clamp(min=0)], -1)


def _ends(places: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Whose each of the last places is, of so many of a client at most, client after client."""
    there = places >= 0
    later = there.flip(1).cumsum(1).flip(1) - 1
    owner, column = (there & (later < most)).nonzero(as_tuple=True)
    return owner, places[owner, column]


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
