"""Data whose answer is known: users like the items of their own colour."""

import torch

from ufgraphfr.core.arrays.sparse_rows import pointers
from ufgraphfr.data.client_batches import ClientBatch


def checkerboard(size: int = 24) -> ClientBatch:
    """Users and items of two colours, as many users as items.

    User u likes the items of its colour (u and i both even or both odd) but never saw i = u, and
    met its items in an order of its own. The profile says the colour, and something of the user's
    own.

    Args:
        size: how many users and items there are.
    """
    own = torch.arange(size)
    liked = (own[:, None] + own[None, :]) % 2 == 0
    liked[own, own] = False
    ptr = pointers(liked.sum(1))
    items = torch.cat([row.nonzero()[:, 0].roll(user) for user, row in enumerate(liked)])
    colour = torch.nn.functional.one_hot(own % 2, 2).float()
    text = torch.cat((colour, 0.3 * torch.eye(size)), dim=1)
    text = torch.nn.functional.normalize(text, dim=1)
    return ClientBatch(own, ptr, items, ptr, liked.nonzero()[:, 1], text, size)
