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

    Each byte of a 32-bit word decides one entry, so the rate is rounded to a multiple of 2**-8
    below 1; what is kept is scaled by the rounded rate, so entries keep their expectation. A
    position's masks do not depend on the length.

    Args:
        key: the stream; its part says which batch.
        clients: int64 ``[clients]``.
        sites: places in the network that take a mask.
        length: positions.
        dim: channels.
        rate: probability of dropping.

    Returns:
        float ``[sites, clients, length, dim]`` of 0 and 1 / (1 - rate), or None if
        the rounded rate is 0.
    """
    dropped = min(round(rate * 2**8), 2**8 - 1)
    if dropped == 0:
        return None
    each = -(-sites * dim // 4)
    words = key.words(clients, 0, length * each)
    # casting to 32 bits and reading these as bytes is far cheaper than shifting and masking
    draws = words.int().view(torch.uint8).view(len(clients), length, 4 * each)
    kept = draws[..., : sites * dim].view(len(clients), length, sites, dim) < 2**8 - dropped
    return kept.permute(2, 0, 1, 3) * (2**8 / (2**8 - dropped))
