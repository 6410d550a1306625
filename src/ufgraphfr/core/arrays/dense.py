"""Dense arrays of some clients: a tensor with a leading clients axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ufgraphfr.core.arrays.protocol import ArraySpec, Fault, all_finite


@dataclass(frozen=True)
class Dense:
    """A tensor.

    Attributes:
        values: ``[clients, ...]``.
    """

    values: Tensor

    sparse: ClassVar[bool] = False

    @property
    def clients(self) -> int:
        """See `Array.clients`."""
        return len(self.values)

    @property
    def owner(self) -> Tensor:
        """See `Plain.owner`."""
        return torch.arange(len(self.values), device=self.values.device)

    @property
    def spec(self) -> ArraySpec:
        """See `Array.spec`."""
        dtype = self.values.dtype
        # counts of one client are sent in a byte or two, grids of clipped updates in eight
        signed = dtype.is_floating_point or dtype == torch.int64
        shape = tuple(self.values.shape[1:])
        return ArraySpec(False, dtype.is_floating_point, shape, signed, dtype)

    def select(self, clients: Tensor) -> "Dense":
        """See `Array.select`."""
        return Dense(self.values[clients])

    @classmethod
    def cat(cls, parts: list["Dense"], places: Sequence[Tensor]) -> "Dense":
        """See `Array.cat`."""
        tensors = [part.values for part in parts]
        parts.clear()
        return cls(torch.cat(tensors)[torch.cat(list(places)).argsort()])

    def dense(self) -> Tensor:
        """See `Array.dense`; no copy."""
        return self.values

    def total(self) -> Tensor:
        """See `Array.total`; floats are float32 or wider, and one client's array is not copied."""
        narrow = self.values.is_floating_point() and self.values.element_size() < 4
        wide = self.values.float() if narrow else self.values
        return wide[0] if len(wide) == 1 else wide.sum(0)

    def plain(self) -> "Dense":
        """See `Array.plain`."""
        return self

    def encoded(self, name: str) -> dict[str, Tensor]:
        """See `Array.encoded`."""
        return {f"own/{name}": self.values}

    def fault(self) -> Fault | None:
        """See `Array.fault`."""
        return None if self.values.dim() else "shape"

    def is_finite(self) -> bool:
        """See `Array.is_finite`."""
        return all_finite(self.values)

    def with_values(self, values: Tensor) -> "Dense":
        """See `Plain.with_values`."""
        return Dense(values)

    def by_item(self) -> Tensor:
        """See `Plain.by_item`."""
        return self.values.flatten(2) if self.values.dim() > 2 else self.values[..., None]
