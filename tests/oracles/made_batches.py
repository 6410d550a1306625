"""Shards of made-up clients."""

import torch

from ufgraphfr.data.client_batches import ClientBatch


def made_batch(counts: list[int], items: int, width: int = 5, seed: int = 0) -> ClientBatch:
    """Clients 10, 13, 16, ... with that many distinct random items each, in random order.

    Barred are a client's own items and one more, so that the two are told apart.
    """
    generator = torch.Generator().manual_seed(seed)
    order = [torch.randperm(items, generator=generator) for _ in counts]
    clients = len(counts)
    ptr = torch.tensor([0, *counts]).cumsum(0)
    excluded = [own[: count + 1].sort().values for own, count in zip(order, counts, strict=True)]
    return ClientBatch(
        clients=10 + 3 * torch.arange(clients),
        ptr=ptr,
        items=torch.cat([own[:count] for own, count in zip(order, counts, strict=True)]),
        excluded_ptr=ptr + torch.arange(clients + 1),
        excluded=torch.cat(excluded),
        text=torch.randn(clients, width, generator=generator),
        n_items=items,
    )
