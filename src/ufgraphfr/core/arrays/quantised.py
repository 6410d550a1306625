"""Numbers on a coarse grid: small whole numbers and a scale for each block of them.

Alistarh et al., "QSGD: communication-efficient SGD via gradient quantization and encoding",
NeurIPS 2017: rounding up or down at random, so that the mean is kept.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ufgraphfr.core.arrays import bit_packing
from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.arrays.protocol import ArraySpec, Fault

BLOCK = 128
"""Numbers that share a scale."""
_LEAST = 1e-30
"""Keeps a division finite in a block of zeros."""


@dataclass(frozen=True)
class Quantised:
    """Arrays of some clients, one row of numbers each.

    Attributes:
        levels: int8 ``[clients, count]``, from -(2**(bits - 1) - 1) to 2**(bits - 1) - 1.
        scale: bfloat16 ``[clients, ceil(count / BLOCK)]``, the step of each block.
        bits: of a level.
        shape: of one client's array.
        blocks: int32 ``[sent]``, ascending, which blocks of the array there are, for all clients
            alike; the others are zero. Then ``count`` is ``sent * BLOCK``. None for all.
    """

    levels: Tensor
    scale: Tensor
    bits: int
    shape: tuple[int, ...]
    blocks: Tensor | None = None

    @classmethod
    def of(
        cls, values: Tensor, bits: int, uniform: Tensor, blocks: Tensor | None = None
    ) -> "Quantised":
        """Round at random.

        Args:
            values: float ``[clients, ...]``.
            bits: of a level, 2 to 8.
            uniform: float ``[clients, count]`` in (0, 1), the draws.
            blocks: int32 ``[sent]``, which blocks to take; None for all.
        """
        flat = values.flatten(1)
        if blocks is not None:
            flat = _blocks(flat)[:, blocks.long()].flatten(1)
        count, most = flat.shape[1], 2 ** (bits - 1) - 1
        wide = _blocks(flat)
        # rounded to bfloat16 a scale could be a little too small, the largest level out of range
        scale = (wide.abs().amax(2) / most * (1 + 2**-7)).clamp(min=_LEAST).bfloat16()
        stepped = (wide / scale.float()[:, :, None]).flatten(1)[:, :count]
        levels = (stepped + uniform.to(stepped)).floor().clamp(-most, most)
        return cls(levels.to(torch.int8), scale, bits, tuple(values.shape[1:]), blocks)

    @classmethod
    def cat(cls, parts: list["Quantised"], places: Sequence[Tensor]) -> "Quantised":
        """See `Array.cat`."""
        levels = torch.cat([part.levels for part in parts])
        scale = torch.cat([part.scale for part in parts])
        joined = replace(parts[0], levels=levels, scale=scale)
        parts.clear()
        return joined.select(torch.cat(list(places)).argsort())

    @property
    def clients(self) -> int:
        """See `Array.clients`."""
        return len(self.levels)

    @property
    def spec(self) -> ArraySpec:
        """See `Array.spec`."""
        return ArraySpec(False, True, self.shape, bits=self.bits, blocks=self.blocks)

    def dense(self) -> Tensor:
        """The numbers, float32 ``[clients, ...]``."""
        count = math.prod(self.shape)
        wide: Tensor = _blocks(self.levels) * self.scale.float()[:, :, None]
        if self.blocks is not None:
            sent, here = wide, self.blocks.long()
            wide = sent.new_zeros(len(sent), -(-count // BLOCK), BLOCK)
            wide[:, here] = sent
        values: Tensor = wide.flatten(1)[:, :count].reshape(-1, *self.shape)
        return values

    def select(self, clients: Tensor) -> "Quantised":
        """Some of the clients, int64 ``[n]``, in that order."""
        return replace(self, levels=self.levels[clients], scale=self.scale[clients])

    def total(self) -> Tensor:
        """The sum over clients, float32."""
        return self.dense().sum(0)

    def plain(self) -> Dense:
        """See `Array.plain`."""
        return Dense(self.dense())

    def encoded(self, name: str) -> dict[str, Tensor]:
        """See `Array.encoded`."""
        packed = bit_packing.pack(self.levels.flatten() + self._largest, self.bits)
        parts = {
            f"coarse/{self.bits}/{name}": packed,
            f"scale/{name}": self.scale,
            f"shape/{name}": torch.tensor(self.shape),
        }
        return parts if self.blocks is None else parts | {f"blocks/{name}": self.blocks}

    @classmethod
    def decoded(
        cls,
        packed: Tensor,
        bits: int,
        scale: Tensor,
        shape: tuple[int, ...],
        blocks: Tensor | None,
    ) -> "Quantised":
        """What `encoded` packed."""
        count = math.prod(shape) if blocks is None else len(blocks) * BLOCK
        levels = bit_packing.unpack(packed, bits, len(scale) * count) - (2 ** (bits - 1) - 1)
        return cls(levels.to(torch.int8).view(len(scale), count), scale, bits, shape, blocks)

    @property
    def _largest(self) -> int:
        """The largest level."""
        largest: int = 2 ** (self.bits - 1) - 1
        return largest

    def fault(self) -> Fault | None:
        """See `Array.fault`."""
        if self.levels.dtype != torch.int8 or self.scale.dtype != torch.bfloat16:
            return "dtype"
        blocks = self.blocks
        if blocks is not None and (blocks.dtype != torch.int32 or blocks.dim() != 1):
            return "shape"
        count = math.prod(self.shape) if blocks is None else BLOCK * len(blocks)
        sizes = (len(self.levels), count), (len(self.levels), -(-count // BLOCK))
        if (tuple(self.levels.shape), tuple(self.scale.shape)) != sizes:
            return "shape"
        if self.levels.numel() == 0:
            return None
        low, high = map(int, self.levels.aminmax())
        return None if max(-low, high) <= self._largest else "shape"

    def is_finite(self) -> bool:
        """See `Array.is_finite`: as far as the largest level."""
        return bool((self.scale.float() * self._largest).isfinite().all())


def _blocks(flat: Tensor) -> Tensor:
    """Numbers ``[clients, count]`` as ``[clients, blocks, BLOCK]``, the last one filled up."""
    wide: Tensor = F.pad(flat, (0, -flat.shape[1] % BLOCK)).unflatten(1, (-1, BLOCK))
    return wide
