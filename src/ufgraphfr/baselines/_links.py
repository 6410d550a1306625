"""Item-item operators by their links alone, dense where the catalogue is small.

A dense operator grows with the square of the items: 7 GB for 40,000. Links are kept row by row,
and so are memory and work in proportion to what goes together at all. Both forms score the same.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import pointers
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.link_rows import propagate_links
from ufgraphfr.ops.recency import propagate

DENSE_BYTES = 2**26
"""Up to this size (4,096 items) an operator is dense: the faster form."""
PER_LINK = 64
"""Bytes for each link: numbers, places, and the same once more where they are sorted."""


@dataclass(frozen=True)
class Links:
    """An operator ``[items, items]`` by its entries that are not zero, row after row.

    Attributes:
        ptr: int64 ``[items + 1]``; history item i owns ``index[ptr[i]:ptr[i + 1]]``.
        index: int32 ``[links]``, candidates.
        values: float32 ``[links]``.
    """

    ptr: Tensor
    index: Tensor
    values: Tensor

    @classmethod
    def of(cls, row: Tensor, column: Tensor, values: Tensor, items: int) -> "Links":
        """From entries, int64 ``[links]`` twice and float32 ``[links]``, in any order."""
        order = row.argsort(stable=True)
        ptr = pointers(torch.bincount(row, minlength=items))
        return cls(ptr, column[order].int(), values[order])

    def arrays(self, name: str) -> dict[str, Tensor]:
        """What a checkpoint holds: ``name``, float32 ``[items, items]``, or its links."""
        items = len(self.ptr) - 1
        if not is_small(items):
            parts = {"ptr": self.ptr, "index": self.index, "values": self.values}
            return {f"{name}.{part}": value for part, value in parts.items()}
        row = torch.repeat_interleave(self.ptr.diff())
        operator = self.values.new_zeros(items, items)
        operator[row, self.index.long()] = self.values
        return {name: operator}


def is_small(items: int) -> bool:
    """Whether a dense operator is small enough."""
    return 4 * items**2 <= DENSE_BYTES


def coalesced(pairs: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Each pair once, int64 ascending, with the sum of its values."""
    distinct, place = pairs.unique(return_inverse=True)
    return distinct, values.new_zeros(len(distinct)).index_add_(0, place, values)


def operator_bytes(items: int, links: int) -> int:
    """About the most that is held on the way to an operator of so many links."""
    return PER_LINK * links + (4 * items**2 if is_small(items) else 0)


def linked_scores(
    fitted: dict[str, Tensor], name: str, inputs: ClientBatch, decay: float
) -> Tensor:
    """The recency-weighted sum of an operator's rows, float32 ``[clients, items]``.

    Args:
        fitted: what `Links.arrays` returned, among others.
        name: as it was called there.
        inputs: the clients with their history.
        decay: weight of a history item relative to the next one.
    """
    weights = inputs.recency(decay)
    if name in fitted:
        return propagate(inputs.ptr, inputs.items, weights, fitted[name])
    ptr, index, values = (fitted[f"{name}.{part}"] for part in ("ptr", "index", "values"))
    weights = weights.to(values.dtype)[None]
    return propagate_links(inputs.ptr, inputs.items, weights, ptr, index, values)[0]
