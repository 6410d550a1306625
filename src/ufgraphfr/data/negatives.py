"""Negatives: items outside a sorted set, drawn without rejection, for many clients at once."""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.core.errors import InputError
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
        distinct: no item twice for a client, as far as there are enough.

    Returns:
        int64 ``[clients, count]``.

    Raises:
        InputError: a client for whom every item is excluded.
    """
    size = ptr.diff()
    free = n_items - size
    if len(free) and int(free.min()) < 1:
        raise InputError(
            f"a user has interacted with all {n_items} items, so no negative can be drawn: "
            f"drop that user or enlarge the catalogue"
        )
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
    return rank + before


def _distinct(key: Key, clients: Tensor, count: int, free: Tensor) -> Tensor:
    """Distinct ranks in ``[0, free)`` for each client: Floyd's sampling, vectorised over clients.

    A client with fewer free items than ``count`` gets all of them, cyclically.
    """
    words = key.words(clients, 0, count)
    take = free.clamp(max=count)
    chosen = torch.full((len(clients), count), -1, device=clients.device)
    for draw in range(count):
        top = free - take + draw
        pick = (words[:, draw] * (top + 1)) >> 32
        seen = (chosen == pick[:, None]).any(1)
        chosen[:, draw] = torch.where(seen, top, pick)
    wrapped = torch.arange(count, device=clients.device)[None, :] % take[:, None]
    return chosen.gather(1, wrapped)
