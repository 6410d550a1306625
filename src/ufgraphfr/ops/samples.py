"""Training samples of stacked clients: every positive with fresh negatives, shuffled.

All draws are keyed by client, so a client's samples do not depend on who it is stacked with.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
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

    @staticmethod
    def cat(parts: list["Samples"]) -> "Samples":
        """The clients of all parts, one part after another."""
        width = max(part.item.shape[1] for part in parts)
        right = [(0, width - part.item.shape[1]) for part in parts]
        columns = list(zip(parts, right, strict=True))
        return Samples(
            item=torch.cat([F.pad(part.item, pad, value=-1) for part, pad in columns]),
            time=torch.cat([F.pad(part.time, pad) for part, pad in columns]),
            positive=torch.cat([F.pad(part.positive, pad) for part, pad in columns]),
            counts=torch.cat([part.counts for part in parts]),
        )


def shuffled(positives: Tensor, counts: Tensor, negatives: Tensor, words: Tensor) -> Samples:
    """Join positives and negatives and shuffle them within each client.

    Args:
        positives: int64 ``[clients, n]`` in time order, padded right.
        counts: int64 ``[clients]``, positives of each client.
        negatives: int64 ``[clients, n, negatives]``, those drawn for each positive; -1 where none
            could be drawn, which is no sample.
        words: int64 ``[clients, n * (1 + negatives)]``, random 32-bit words to sort by.
    """
    clients, length, drawn = negatives.shape
    together = torch.cat((positives[..., None], negatives), dim=2).view(clients, -1)
    time = torch.arange(length, device=positives.device).repeat_interleave(1 + drawn)
    padding = (time[None, :] >= counts[:, None]) | (together < 0)
    order = torch.where(padding, 2**32, words).argsort(dim=1, stable=True)
    return Samples(
        item=torch.where(padding, -1, together).gather(1, order),
        time=time[order],
        positive=(order % (1 + drawn) == 0).float(),
        counts=(~padding).sum(1),
    )
