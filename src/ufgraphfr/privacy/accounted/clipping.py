"""Clipping on a grid: what a client uploads is bounded whatever the algorithm hands over.

Values are divided by the grid's step and cut towards zero, which lengthens nothing, so the bound
holds exactly for the whole numbers that are summed.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ufgraphfr.core.arrays.protocol import Plain

Arrays = Mapping[str, Plain]

BELOW = 1 - 1e-5
"""Share of the bound that is used: float32 may round lengths and products by less than the rest."""
NARROW = 256
"""Width up to which float32 measures a length exactly enough; wider rows are taken in pieces."""
AT_ONCE = 2**18
"""Numbers put on the grid at a time: what fits the processor's cache."""
LARGEST = 1e15
"""Larger numbers, whose squares overflow, are no updates."""


def clip(
    arrays: Arrays, bound: float, step: float, row_cap: float | None = None
) -> dict[str, Plain]:
    """Each client's arrays as whole multiples of ``step``, of L2 length at most ``bound`` together.

    Args:
        arrays: each ``[clients, ...]``; what is not finite, or above `LARGEST`, counts as zero.
        bound: for all arrays of a client together.
        step: of the grid.
        row_cap: for each item row of changed rows, and of arrays ``[clients, items, dim]``.

    Returns:
        int64 arrays of the same names and shapes.
    """
    capped = {name: _widened(value) for name, value in arrays.items()}
    if row_cap is not None:
        capped = {name: _capped(_finite(value), row_cap) for name, value in capped.items()}
    long = lengths(capped)
    if not bool(long.isfinite().all()):
        capped = {name: _finite(value) for name, value in capped.items()}
        long = lengths(capped)
    factor = (bound * BELOW / long.clamp(min=1e-300)).clamp(max=1) / step
    return {name: _scaled(value, factor) for name, value in capped.items()}


def lengths(arrays: Arrays) -> Tensor:
    """L2 length of everything a client uploads, float64 ``[clients]``."""
    squares = [_squares(value) for value in arrays.values()]
    return torch.stack(squares).sum(0).sqrt()


def _squares(value: Plain) -> Tensor:
    own = _norm(value.values.flatten(1)).square()
    return own.new_zeros(value.clients).index_add_(0, value.owner, own)


def _norm(rows: Tensor) -> Tensor:
    if rows.dtype != torch.float32:
        exact: Tensor = torch.linalg.vector_norm(rows.double(), dim=-1)
        return exact
    whole = rows.shape[-1] // NARROW * NARROW
    pieces = rows[..., :whole].unflatten(-1, (-1, NARROW)), rows[..., None, whole:]
    short = [torch.linalg.vector_norm(piece, dim=-1).double() for piece in pieces]
    length: Tensor = torch.linalg.vector_norm(torch.cat(short, -1), dim=-1)
    return length


def _widened(value: Plain) -> Plain:
    """With floats of 32 bits or more: shorter ones round, and overflow in steps of the grid."""
    narrow = value.values.is_floating_point() and value.values.element_size() < 4
    return value.with_values(value.values.float()) if narrow else value


def _finite(value: Plain) -> Plain:
    return value.with_values(torch.where(value.values.abs() <= LARGEST, value.values, 0.0))


def _capped(value: Plain, cap: float) -> Plain:
    if not value.sparse and value.values.dim() != 3:
        return value
    # item rows are the last axis of either kind
    factor = (cap * BELOW / _norm(value.values).clamp(min=1e-300)).clamp(max=1)
    return value.with_values(value.values * factor[..., None].to(value.values.dtype))


def _scaled(value: Plain, factor: Tensor) -> Plain:
    values = value.values
    dtype = values.dtype if values.is_floating_point() else torch.float64
    each = factor.to(dtype)[value.owner].view(-1, *[1] * (values.dim() - 1))
    scaled = torch.empty_like(values, dtype=torch.int64)
    some = max(1, AT_ONCE // max(1, values[:1].numel()))
    for out, part, own in zip(*(x.split(some) for x in (scaled, values, each)), strict=True):
        # a conversion to whole numbers cuts towards zero
        out.copy_(part * own)
    return value.with_values(scaled)
