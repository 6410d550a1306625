"""Numbers on a coarse grid: small whole numbers and a scale for each block of them.

Alistarh et al., "QSGD: communication-efficient SGD via gradient quantization and encoding",
NeurIPS 2017: rounding up or down at random, so that the mean is kept.
"""

import math
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
    def cat(cls, parts: list["Quantised"]) -> "Quantised":
        """Several clients' arrays of one shape, one after the other."""
        levels = torch.cat([part.levels for part in parts])
        return replace(parts[0], levels=levels, scale=torch.cat([part.scale for part in parts]))

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

    def select(self, places: Tensor) -> "Quantised":
        """Some of the clients, int64 ``[n]``, in that order."""
        return replace(self, levels=self.levels[places], scale=self.scale[places])

    def total(self) -> Tensor:
        """The sum over clients, float32."""
        return self.dense().sum(0)


def _blocks(flat: Tensor) -> Tensor:
    """Numbers ``[clients, count]`` as ``[clients, blocks, BLOCK]``, the last one filled up."""
    wide: Tensor = F.pad(flat, (0, -flat.shape[1] % BLOCK)).unflatten(1, (-1, BLOCK))
    return wide
