"""How alike two clients' joint-layer changes are, without forming the changes.

A client's change of the joint embedding layer is ``step text^T``, rank one, so the cosine of two
changes is the product of the cosines of their factors.
"""

import torch.nn.functional as F
from torch import Tensor


def factored_cosine(left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> Tensor:
    """Cosines of Kronecker products, from their factors.

    Args:
        left: factors, each float ``[m, width]``.
        right: the same factors of others, each float ``[n, width]``.

    Returns:
        float ``[m, n]``.
    """
    cosines = [
        F.normalize(a, dim=1) @ F.normalize(b, dim=1).T for a, b in zip(left, right, strict=True)
    ]
    product = cosines[0]
    for cosine in cosines[1:]:
        product = product * cosine
    return product
