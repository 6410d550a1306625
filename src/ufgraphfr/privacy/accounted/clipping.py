"""Clipping on a grid: what a client uploads is bounded whatever the algorithm hands over.

Values are divided by the grid's step and cut towards zero, which lengthens nothing, so the bound
holds exactly for the whole numbers that are summed.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import Rows

Arrays = Mapping[str, Tensor | Rows]

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
) -> dict[str, Tensor | Rows]:
    """Each client's arrays as whole multiples of ``step``, of L2 length at most ``bound`` together.

    Args:
        arrays: each ``[clients, ...]``; what is not finite, or above `LARGEST`, counts as zero.
        bound: for all arrays of a client together.
        step: of the grid.
        row_cap: for each item row of changed rows, and of arrays ``[clients, items, dim]``.

    Returns:
        int64 arrays of the same names and shapes.
    """
    found = dict(arrays)
    if row_cap is not None:
        found = {name: _capped(_finite(value), row_cap) for name, value in found.items()}
    long = lengths(found)
    if not bool(long.isfinite().all()):
        found = {name: _finite(value) for name, value in found.items()}
        long = lengths(found)
    factor = (bound * BELOW / long.clamp(min=1e-300)).clamp(max=1) / step
    return {name: _scaled(value, factor) for name, value in found.items()}


def lengths(arrays: Arrays) -> Tensor:
    """L2 length of everything a client uploads, float64 ``[clients]``."""
    squares = [_squares(value) for value in arrays.values()]
    return torch.stack(squares).sum(0).sqrt()


def _squares(value: Tensor | Rows) -> Tensor:
    if isinstance(value, Tensor):
        return _norm(value.flatten(1)).square()
    rows = _norm(value.values).square()
    return rows.new_zeros(value.clients).index_add_(0, value.owner, rows)


def _norm(rows: Tensor) -> Tensor:
    if rows.dtype != torch.float32:
        exact: Tensor = torch.linalg.vector_norm(rows.double(), dim=-1)
        return exact
    whole = rows.shape[-1] // NARROW * NARROW
    pieces = rows[..., :whole].unflatten(-1, (-1, NARROW)), rows[..., None, whole:]
    short = [torch.linalg.vector_norm(piece, dim=-1).double() for piece in pieces]
    length: Tensor = torch.linalg.vector_norm(torch.cat(short, -1), dim=-1)
    return length


def _finite(value: Tensor | Rows) -> Tensor | Rows:
    return _map(value, lambda each: torch.where(each.abs() <= LARGEST, each, 0.0))


def _capped(value: Tensor | Rows, cap: float) -> Tensor | Rows:
    if isinstance(value, Tensor) and value.dim() != 3:
        return value

    def capped(rows: Tensor) -> Tensor:
        factor = (cap * BELOW / _norm(rows).clamp(min=1e-300)).clamp(max=1)
        return rows * factor[..., None].to(rows.dtype)

    return _map(value, capped)


def _scaled(value: Tensor | Rows, factor: Tensor) -> Tensor | Rows:
    # a conversion to whole numbers cuts towards zero
    if isinstance(value, Tensor):
        each = factor.view(-1, *[1] * (value.dim() - 1)).to(_floating(value))
        scaled = torch.empty_like(value, dtype=torch.int64)
        some = max(1, AT_ONCE // max(1, value[:1].numel()))
        for out, part, own in zip(*(x.split(some) for x in (scaled, value, each)), strict=True):
            out.copy_(part * own)
        return scaled
    each = factor.to(_floating(value.values))[value.owner, None]
    return replace(value, values=(value.values * each).long())


def _floating(value: Tensor) -> torch.dtype:
    return value.dtype if value.is_floating_point() else torch.float64


def _map(value: Tensor | Rows, change: Callable[[Tensor], Tensor]) -> Tensor | Rows:
    return replace(value, values=change(value.values)) if isinstance(value, Rows) else change(value)
