"""The smoothest directions of the item operator: its eigenvectors of the largest eigenvalues."""

import torch
from torch import Tensor

from ufgraphfr.algorithms.item_operator.operator import COUNTS, applied
from ufgraphfr.core.messages import State

_WHOLE = 2_000
"""Items, up to which all eigenvectors are found at once."""
_BLOCK = 64
"""Vectors that are multiplied together: a product with so many costs a tenth of as many products
with one, which read all entries again."""
_MOST = 8
"""Times as many vectors as are asked for that the basis has at most."""
_CLOSE = 3e-3
"""Length of what a direction's image has beside it, relative to its eigenvalue, at most. The
eigenvalue is off by the square of it."""


def directions(state: State, count: int) -> tuple[Tensor, Tensor]:
    """Eigenvectors of P and their eigenvalues, the largest first.

    A small catalogue is decomposed whole. Of a larger one P is projected on a growing basis of
    block Krylov vectors, which are kept orthogonal to all before them: Golub and Underwood, "The
    block Lanczos method for computing eigenvalues", Mathematical Software III, 1977.

    Args:
        state: the server's memory with the whole operator.
        count: how many; at most the items.

    Returns:
        float32 ``[items, count]`` and ``[count]``.
    """
    items, like = len(state[COUNTS]), state[COUNTS]
    count = min(count, items)
    if items <= max(_WHOLE, 4 * count):
        value, vectors = torch.linalg.eigh(applied(state, torch.eye(items).to(like)).double())
        return vectors.flip(1)[:, :count].to(like), value.flip(0)[:count].to(like)
    return _of_large(state, count)


def _of_large(state: State, count: int) -> tuple[Tensor, Tensor]:
    items, like = len(state[COUNTS]), state[COUNTS]
    steps = min(-(-_MOST * count // _BLOCK), items // _BLOCK)
    # the same directions in every run
    generator = torch.Generator().manual_seed(0)
    block = torch.linalg.qr(torch.randn(items, _BLOCK, generator=generator).to(like))[0]
    basis = like.new_empty(steps * _BLOCK, items)
    projected = like.new_zeros(steps * _BLOCK, steps * _BLOCK)
    for step in range(1, steps + 1):
        first, size = (step - 1) * _BLOCK, step * _BLOCK
        basis[first:size] = block.T
        known, block = basis[:size], applied(state, block)
        # once more, as rounding leaves something of the basis in a short rest
        image = known @ block
        block = block.addmm_(known.T, image, alpha=-1)
        again = known @ block
        block, rest = torch.linalg.qr(block.addmm_(known.T, again, alpha=-1))
        projected[:size, first:size] = image + again
        if size < 2 * count or (step % 4 and step < steps):
            continue
        value, vectors = torch.linalg.eigh(projected[:size, :size].double(), UPLO="U")
        value, vectors = value.flip(0)[:count].to(like), vectors.flip(1)[:, :count].to(like)
        if step == steps or bool(((rest @ vectors[first:]).norm(dim=0) <= _CLOSE * value).all()):
            break
    return known.T @ vectors, value
