"""Negatives: items outside a sorted set, drawn without rejection, for many clients at once."""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.core.keys import Key


def draw_outside(
    key: Key,
    clients: Tensor,
    count: int,
    n_items: int,
    ptr: Tensor,
    excluded: Tensor,
    distinct: bool = False,
) -> Tensor:
    """Uniform items outside each client's excluded set.

    The r-th allowed item is ``r`` plus the number of excluded items before it, found by one binary
    search over all clients: the j-th excluded item of a client, b_j, lies before it if
    ``b_j - j <= r``.

    Args:
        key: the stream of random numbers.
        clients: int64 ``[clients]``, the ids that key the draws.
        count: draws for each client.
        n_items: how many items there are.
        ptr: int64 ``[clients + 1]``, the clients' bounds in ``excluded``.
        excluded: int64, ascending and distinct within a client.
        distinct: no item twice for a client.

    Returns:
        int64 ``[clients, count]``; -1 for what cannot be drawn, as everything is excluded or, of
        distinct items, fewer than ``count`` are left.
    """
    free = n_items - ptr.diff()
    if distinct:
        rank = _distinct(key, clients, count, free)
    else:
        rank = key.integers(clients, count, free)
    device = clients.device
    row = torch.arange(len(clients), device=device)
    owner = owners(ptr, len(excluded))
    position = torch.arange(len(excluded), device=device) - ptr[:-1][owner]
    # one search for all: each client's values lie in a band of their own, n_items + 1 wide
    bands = owner * (n_items + 1) + excluded - position
    query = row[:, None] * (n_items + 1) + rank
    before = torch.searchsorted(bands, query.flatten(), right=True).view_as(rank) - ptr[:-1, None]
    some = torch.arange(count, device=device) < free[:, None] if distinct else free[:, None] > 0
    return torch.where(some, rank + before, -1)


def _distinct(key: Key, clients: Tensor, count: int, free: Tensor) -> Tensor:
    """Distinct ranks in ``[0, free)`` for each client: Floyd's sampling, vectorised over clients.

    Of a client with fewer free items than ``count`` the first ones are all of them, and the rest
    means nothing.
    """
    words = key.words(clients, 0, count)
    take = free.clamp(max=count)
    chosen = torch.full((len(clients), count), -1, device=clients.device)
    for draw in range(count):
        top = free - take + draw
        pick = (words[:, draw] * (top + 1)) >> 32
        seen = (chosen == pick[:, None]).any(1)
        chosen[:, draw] = torch.where(seen, top, pick)
    return chosen
