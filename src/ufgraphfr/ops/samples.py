"""Training samples of stacked clients: every positive with fresh negatives, shuffled.

All draws are keyed by client, so a client's samples do not depend on who it is stacked with.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """Shuffled samples, padded on the right.

    Attributes:
        item: int64 ``[clients, samples]``, -1 for padding.
        time: int64 ``[clients, samples]``, which of the client's interactions the sample
            belongs to, from 0.
        positive: float ``[clients, samples]``, 1 for interactions and 0 for negatives.
        counts: int64 ``[clients]``, samples of each client.
    """

    item: Tensor
    time: Tensor
    positive: Tensor
    counts: Tensor


def shuffled(positives: Tensor, counts: Tensor, negatives: Tensor, words: Tensor) -> Samples:
    """Join positives and negatives and shuffle them within each client.

    Args:
        positives: int64 ``[clients, n]`` in time order, padded right.
        counts: int64 ``[clients]``, positives of each client.
        negatives: int64 ``[clients, n, negatives]``, those drawn for each positive.
        words: int64 ``[clients, n * (1 + negatives)]``, random 32-bit words to sort by.
    """
    clients, length, drawn = negatives.shape
    together = torch.cat((positives[..., None], negatives), dim=2).view(clients, -1)
    time = torch.arange(length, device=positives.device).repeat_interleave(1 + drawn)
    padding = time[None, :] >= counts[:, None]
    order = torch.where(padding, 2**32, words).argsort(dim=1, stable=True)
    return Samples(
        item=torch.where(padding, -1, together).gather(1, order),
        time=time[order],
        positive=(order % (1 + drawn) == 0).float(),
        counts=counts * (1 + drawn),
    )
