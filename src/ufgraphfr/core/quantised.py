"""Numbers on a coarse grid: small whole numbers and a scale for each block of them.

Alistarh et al., "QSGD: communication-efficient SGD via gradient quantization and encoding",
NeurIPS 2017: rounding up or down at random, so that the mean is kept.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

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
    """

    levels: Tensor
    scale: Tensor
    bits: int
    shape: tuple[int, ...]

    @classmethod
    def of(cls, values: Tensor, bits: int, uniform: Tensor) -> "Quantised":
        """Round at random.

        Args:
            values: float ``[clients, ...]``.
            bits: of a level, 2 to 8.
            uniform: float ``[clients, count]`` in (0, 1), the draws.
        """
        flat = values.flatten(1)
        count, most = flat.shape[1], 2 ** (bits - 1) - 1
        blocks = F.pad(flat, (0, -count % BLOCK)).unflatten(1, (-1, BLOCK))
        # rounded to bfloat16 a scale could be a little too small, the largest level out of range
        scale = (blocks.abs().amax(2) / most * (1 + 2**-7)).clamp(min=_LEAST).bfloat16()
        stepped = (blocks / scale.float()[:, :, None]).flatten(1)[:, :count]
        levels = (stepped + uniform.to(stepped)).floor().clamp(-most, most)
        return cls(levels.to(torch.int8), scale, bits, tuple(values.shape[1:]))

    @classmethod
    def cat(cls, parts: list["Quantised"]) -> "Quantised":
        """Several clients' arrays of one shape, one after the other."""
        levels = torch.cat([part.levels for part in parts])
        return replace(parts[0], levels=levels, scale=torch.cat([part.scale for part in parts]))

    def dense(self) -> Tensor:
        """The numbers, float32 ``[clients, ...]``."""
        count = self.levels.shape[1]
        wide = F.pad(self.levels, (0, -count % BLOCK)).unflatten(1, (-1, BLOCK))
        values: Tensor = (wide * self.scale.float()[:, :, None]).flatten(1)[:, :count]
        return values.reshape(-1, *self.shape)

    def select(self, places: Tensor) -> "Quantised":
        """Some of the clients, int64 ``[n]``, in that order."""
        return replace(self, levels=self.levels[places], scale=self.scale[places])

    def total(self) -> Tensor:
        """The sum over clients, float32."""
        return self.dense().sum(0)
