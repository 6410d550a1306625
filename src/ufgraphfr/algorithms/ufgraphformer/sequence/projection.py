"""A public random projection of profile vectors: fewer numbers say nearly the same.

Johnson and Lindenstrauss, "Extensions of Lipschitz mappings into a Hilbert space", 1984.
"""

import torch
from torch import Tensor

from ufgraphfr.core.keys import Key, Purpose


def projection_of(width: int, narrow: int, seed: int) -> Tensor:
    """From vectors of ``width`` to at most ``narrow``, float ``[width, min(width, narrow)]``."""
    if width <= narrow:
        return torch.eye(width)
    generator = Key(seed, purpose=Purpose.INIT, part=5).generator()
    return torch.randn(width, narrow, generator=generator).div(narrow**0.5)
