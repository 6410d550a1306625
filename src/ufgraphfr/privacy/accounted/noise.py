"""Gaussian noise on a public grid, from the operating system's cryptographic generator.

Sums of clipped updates are whole multiples of a power of two. Noise that is rounded to that grid
makes them an ideal Gaussian's noised sums, rounded, and it is drawn exactly
(`rounded_gaussian.draw`): no low bits (Mironov, CCS 2012) and no holes in the tails of a floating
point generator tell a sum from its neighbour.
"""

import math
import os
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.privacy.accounted.rounded_gaussian import draw

Noise = Callable[[int, float, Key], Tensor]
"""Whole numbers, int64: how many, of which standard deviation, and of which stream."""


def grid_step(clip: float, bits: int = 24) -> float:
    """The grid's step for updates of length up to ``clip``: a power of two, clip / 2**bits or less.

    An update's coordinates then fit 25 bits, and sums over 2**30 clients an int64.
    """
    return 2.0 ** (math.floor(math.log2(clip)) - bits)


def secure_noise(count: int, sigma: float, *_: object) -> Tensor:
    """Rounded Gaussian numbers nobody can predict, int64 ``[count]``; they depend on no key."""
    return torch.from_numpy(draw(count, sigma, _system_words))


def seeded_noise(count: int, sigma: float, key: Key) -> Tensor:
    """The same from a seed, for tests alone: whoever knows the seed can take it off again."""
    nobody, position = torch.zeros(1, dtype=torch.int64), 0

    def words(count: int) -> NDArray[np.uint64]:
        nonlocal position
        halves = key.words(nobody, position, 2 * count)[0].numpy().astype(np.uint64)
        position += -(-2 * count // 4) * 4
        found: NDArray[np.uint64] = (halves[::2] << np.uint64(32)) | halves[1::2]
        return found

    return torch.from_numpy(draw(count, sigma, words))


def _system_words(count: int) -> NDArray[np.uint64]:
    """From `os.urandom`, on Linux a ChaCha20 generator."""
    return np.frombuffer(os.urandom(8 * count), np.uint64)
