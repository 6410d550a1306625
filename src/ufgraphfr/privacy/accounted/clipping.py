"""Clipping on a grid: what a client uploads is bounded whatever the algorithm hands over.

Values are divided by the grid's step and cut towards zero, which lengthens nothing, so the bound
holds exactly for the whole numbers that are summed.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ufgraphfr.core.rows import Rows

Arrays = Mapping[str, Tensor | Rows]


def clip(
    arrays: Arrays, bound: float, step: float, row_cap: float | None = None
) -> dict[str, Tensor | Rows]:
    """Each client's arrays as whole multiples of ``step``, of L2 length at most ``bound`` together.

    Args:
        arrays: each ``[clients, ...]``; what is not finite counts as zero.
        bound: for all arrays of a client together.
        step: of the grid.
        row_cap: for each item row of changed rows, and of arrays ``[clients, items, dim]``.

    Returns:
        int64 arrays of the same names and shapes.
    """
    finite = {name: _map(value, _finite) for name, value in arrays.items()}
    if row_cap is not None:
        finite = {name: _capped(value, row_cap) for name, value in finite.items()}
    # a hair below the bound, so that rounding in this factor cannot exceed it
    factor = (bound * (1 - 1e-9) / lengths(finite).clamp(min=1e-300)).clamp(max=1)
    return {name: _scaled(value, factor / step) for name, value in finite.items()}


def lengths(arrays: Arrays) -> Tensor:
    """L2 length of everything a client uploads, float64 ``[clients]``."""
    squares = [_squares(value) for value in arrays.values()]
    return torch.stack(squares).sum(0).sqrt()


def _squares(value: Tensor | Rows) -> Tensor:
    if isinstance(value, Tensor):
        return value.double().flatten(1).square().sum(1)
    rows = value.values.double().square().sum(1)
    return rows.new_zeros(value.clients).index_add_(0, value.owner, rows)


def _finite(value: Tensor) -> Tensor:
    return torch.nan_to_num(value.double(), nan=0.0, posinf=0.0, neginf=0.0)


def _capped(value: Tensor | Rows, cap: float) -> Tensor | Rows:
    if isinstance(value, Tensor) and value.dim() != 3:
        return value
    return _map(value, lambda rows: rows * (cap / rows.norm(dim=-1, keepdim=True)).clamp(max=1))


def _scaled(value: Tensor | Rows, factor: Tensor) -> Tensor | Rows:
    if isinstance(value, Tensor):
        each = factor.view(-1, *[1] * (value.dim() - 1))
        return (value * each).trunc().long()
    return replace(value, values=(value.values * factor[value.owner, None]).trunc().long())


def _map(value: Tensor | Rows, change) -> Tensor | Rows:  # type: ignore[no-untyped-def]
    return replace(value, values=change(value.values)) if isinstance(value, Rows) else change(value)
