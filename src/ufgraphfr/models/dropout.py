"""Dropout masks keyed by client, so that no mask depends on who a client is stacked with.

Srivastava et al., "Dropout", JMLR 15:1929, 2014, in its inverted form: what is kept is scaled.
"""

import torch
from torch import Tensor

from ufgraphfr.core.keys import Key


def dropout_masks(
    key: Key, clients: Tensor, sites: int, length: int, dim: int, rate: float
) -> Tensor | None:
    """Masks for some places of a network over a sequence.

    Each 32-bit word decides two entries, so the rate is rounded to a multiple of 2**-16. A
    position's masks do not depend on the length.

    Args:
        key: the stream; its part says which batch.
        clients: int64 ``[clients]``.
        sites: places in the network that take a mask.
        length: positions.
        dim: channels; ``sites * dim`` must be even.
        rate: probability of dropping.

    Returns:
        float ``[sites, clients, length, dim]`` of 0 and 1 / (1 - rate), or None if ``rate`` is 0.
    """
    if rate == 0:
        return None
    words = key.words(clients, 0, length * (sites * dim // 2))
    halves = torch.stack((words & 0xFFFF, words >> 16), dim=-1)
    kept = halves >= round(rate * 2**16)
    shaped = kept.view(len(clients), length, sites, dim).permute(2, 0, 1, 3)
    return shaped.float() / (1 - rate)
