"""Gaussian noise on a public grid, from the operating system's cryptographic generator.

Sums of clipped updates are whole multiples of a power of two, so noise rounded to that grid is the
rounding of the noised sum: an ideal Gaussian's guarantee holds after it, and the low bits of
floating point numbers (Mironov, CCS 2012) reveal nothing.
"""

import math
import os

import torch
from torch import Tensor

from ufgraphfr.core.keys import Key

_BITS = 53


def grid_step(clip: float) -> float:
    """The grid's step for updates of length up to ``clip``: a power of two, clip / 2**24 or less.

    An update's coordinates then fit 25 bits, and sums over 2**30 clients an int64.
    """
    return 2.0 ** (math.floor(math.log2(clip)) - 24)


def secure_normal(count: int, *_: object) -> Tensor:
    """Standard normal numbers nobody can predict, float64 ``[count]``; they depend on no key.

    Box and Muller's method on words of `os.urandom` (on Linux a ChaCha20 generator).
    """
    words = torch.frombuffer(bytearray(os.urandom(16 * max(1, -(-count // 2)))), dtype=torch.int64)
    # the upper 53 bits, as an unsigned number; half a step keeps the logarithm finite
    uniform = ((words >> (64 - _BITS)) & (2**_BITS - 1)).double().add_(0.5).div_(2.0**_BITS)
    return _box_muller(*uniform.view(2, -1))[:count]


def seeded_normal(count: int, key: Key) -> Tensor:
    """The same from a seed, for tests alone: whoever knows the seed can take it off again."""
    nobody = torch.zeros(1, dtype=torch.int64)
    uniform = key.uniform(nobody, 2 * -(-count // 2))[0]
    return _box_muller(*uniform.view(2, -1))[:count]


def _box_muller(radius: Tensor, angle: Tensor) -> Tensor:
    length = radius.log().mul_(-2).sqrt_()
    turn = angle * (2 * math.pi)
    return torch.cat((length * turn.cos(), length * turn.sin()))
