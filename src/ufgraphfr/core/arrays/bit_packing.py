"""Small whole numbers in as few bits as they need."""

import numpy as np
import torch
from torch import Tensor

MOST = 16
"""Bits up to which numbers are packed."""


def width(largest: int) -> int:
    """Bits of a number from 0 to ``largest``."""
    return max(1, largest.bit_length())


def pack(values: Tensor, bits: int) -> Tensor:
    """Numbers from 0 to 2**bits - 1, one after the other.

    Args:
        values: whole, ``[count]``.
        bits: of each, at most `MOST`.

    Returns:
        uint8 ``[ceil(count * bits / 8)]``.

    Raises:
        ValueError: more bits than that; the numbers would be cut.
    """
    if bits > MOST:
        raise ValueError(f"numbers of {bits} bits are not packed: at most {MOST}")
    numbers = values.cpu().numpy().astype(np.uint16)
    shown = (numbers[:, None] >> np.arange(bits, dtype=np.uint16)) & 1
    return torch.from_numpy(np.packbits(shown.astype(np.uint8)))


def unpack(packed: Tensor, bits: int, count: int) -> Tensor:
    """What `pack` packed, int32 ``[count]``.

    Raises:
        ValueError: there are fewer numbers, or `pack` packs none of that many bits.
    """
    if not 1 <= bits <= MOST:
        raise ValueError(f"numbers of {bits} bits are not packed: 1 to {MOST}")
    shown = np.unpackbits(packed.numpy())
    if len(shown) < count * bits:
        raise ValueError(f"{len(shown)} bits cannot hold {count} numbers of {bits}")
    digits = shown[: count * bits].reshape(count, bits).astype(np.int32)
    return torch.from_numpy(digits @ (1 << np.arange(bits, dtype=np.int32)))
