"""Is one run better than another? A bootstrap paired over users, and over seeds.

Users and seeds are drawn with replacement, independently (the pigeonhole bootstrap: Owen, Annals of
Applied Statistics 1:386, 2007). Of S seeds S - 1 are drawn, so that the variance of a mean over few
seeds is not underestimated (Rao & Wu, JASA 83:231, 1988). One seed says nothing about the spread
over seeds: five or more carry a claim.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ufgraphfr.core.keys import Key, Purpose

_BLOCK = 500
"""Draws at a time; bounds memory at ``_BLOCK * users`` numbers."""


@dataclass(frozen=True)
class Difference:
    """How much run ``a`` is above run ``b``.

    Attributes:
        mean: difference of the means.
        low, high: the 95 % percentile interval.
        p_value: two-sided, at least ``2 / (draws + 1)``.
        seeds: how many seeds each run has.
    """

    mean: float
    low: float
    high: float
    p_value: float
    seeds: tuple[int, int]


def difference(
    a: NDArray[np.float64], b: NDArray[np.float64], seed: int = 0, draws: int = 10_000
) -> Difference:
    """Compare a per-user metric of two runs.

    Args:
        a: float64 ``[seeds, users]``, e.g. ``metrics.values("ndcg@10", ranks)``.
        b: float64 ``[seeds, users]``; the same users, any number of seeds.
        seed: of the bootstrap.
        draws: bootstrap samples.

    Raises:
        ValueError: not the same users.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"[seeds, users] expected, of the same users: {a.shape} and {b.shape}")
    generator = Key(seed, purpose=Purpose.BOOTSTRAP).generator()
    first, second = torch.from_numpy(a), torch.from_numpy(b)
    samples = []
    for start in range(0, draws, _BLOCK):
        block = min(_BLOCK, draws - start)
        users = torch.randint(a.shape[1], (block, a.shape[1]), generator=generator)
        samples.append(_means(first, users, generator) - _means(second, users, generator))
    drawn = torch.cat(samples)
    low, high = torch.quantile(drawn, torch.tensor([0.025, 0.975], dtype=drawn.dtype)).tolist()
    tail = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return Difference(
        mean=float(a.mean() - b.mean()),
        low=low,
        high=high,
        p_value=min(1.0, 2 * (tail + 1) / (draws + 1)),
        seeds=(a.shape[0], b.shape[0]),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for how many they are (Holm, Scandinavian J. of Statistics 6:65, 1979)."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for place, which in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[which]))
        corrected[which] = largest
    return corrected


def _means(values: Tensor, users: Tensor, generator: torch.Generator) -> Tensor:
    """The mean over drawn users and seeds, one for each row of ``users`` ``[draws, users]``."""
    seeds = values.shape[0]
    count = max(seeds - 1, 1)
    drawn = torch.randint(seeds, (len(users), count), generator=generator)
    # times each seed was drawn, over all draws of seeds
    share = torch.nn.functional.one_hot(drawn, seeds).to(values.dtype).mean(1)
    return (share @ values).gather(1, users).mean(1)
