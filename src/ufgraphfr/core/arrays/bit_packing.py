"""Small whole numbers in as few bits as they need."""

import numpy as np
import torch
from torch import Tensor

MOST = 16
"""Bits up to which numbers are packed."""
_AT_ONCE = 2**18
"""Numbers, a multiple of 8: digit by digit they take twenty times the memory."""


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
    digits = np.arange(bits, dtype=np.uint16)
    packed = np.empty(-(-len(values) * bits // 8), dtype=np.uint8)
    for first in range(0, len(values), _AT_ONCE):
        numbers = values[first : first + _AT_ONCE].cpu().numpy().astype(np.uint16)
        shown = ((numbers[:, None] >> digits) & 1).astype(np.uint8)
        there = first * bits // 8
        bytes_ = np.packbits(shown)
        packed[there : there + len(bytes_)] = bytes_
    return torch.from_numpy(packed)


def unpack(packed: Tensor, bits: int, count: int) -> Tensor:
    """What `pack` packed, int32 ``[count]``.

    Raises:
        ValueError: there are fewer numbers, or `pack` packs none of that many bits.
    """
    if not 1 <= bits <= MOST:
        raise ValueError(f"numbers of {bits} bits are not packed: 1 to {MOST}")
    held = 8 * len(packed)
    if held < count * bits:
        raise ValueError(f"{held} bits cannot hold {count} numbers of {bits}")
    digits = 1 << np.arange(bits, dtype=np.int32)
    values = np.empty(count, dtype=np.int32)
    for first in range(0, count, _AT_ONCE):
        part = values[first : first + _AT_ONCE]
        there = first * bits // 8
        shown = np.unpackbits(packed.numpy()[there : there + -(-len(part) * bits // 8)])
        part[:] = shown[: len(part) * bits].reshape(-1, bits).astype(np.int32) @ digits
    return torch.from_numpy(values)
