"""Is the noise as large as was paid for? Measured where there is nothing else: nobody uploads.

Every number that is released of empty uploads is noise alone. The squares of n such numbers, in
units of the standard deviation z C that the ledger states, add up to chi-square with n degrees of
freedom, and to less if the noise is smaller. So this tests the size of the noise, as sharply as
numbers are many; each array and each round is tested, and all together. It says nothing of the
clip, nor of how often somebody takes part: canaries do. And a number that is exactly 0 has no
noise: one in 2^24 is by chance, as the grid is that fine.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, replace

from ufgraphfr.audit.bounds import FALSE_ALARM, chi_square_quantile
from ufgraphfr.audit.canary_scores import RELEASES, Play

ENOUGH = 2_000
"""Numbers: noise too small by a tenth is then caught nine times in ten."""
MOST_PLAYS = 200
LARGEST = 1e6
"""Of a ratio: there is no noise."""


@dataclass(frozen=True)
class NoiseLevel:
    """How many times the noise is smaller than stated.

    Attributes:
        array: or round in which it is smallest; `RELEASES` for all of them.
        ratio: the stated standard deviation over the measured one.
        low: its lower bound, above 1 with the chance `FALSE_ALARM` at most if all is as stated.
        numbers: how many were measured in all.
        caught_from: the ratio that is caught nine times in ten, if all arrays have it.
    """

    array: str
    ratio: float
    low: float
    numbers: int
    caught_from: float


def noise_level(play: Play) -> NoiseLevel | None:
    """Measure the noise of a mechanism through the real rounds, in the array with the least.

    Args:
        play: of the run.

    Returns:
        None if nothing is released.
    """
    squares, counts = defaultdict[str, float](float), defaultdict[str, int](int)
    zeros = 0
    for again in range(MOST_PLAYS):
        for number, name, value in play.noise_alone(play.recording.experiment.seed + again):
            zeros += int((value == 0).sum())
            for place in (name, f"round {number}", RELEASES):
                squares[place] += float(value.square().sum())
                counts[place] += len(value)
        if not counts[RELEASES]:
            return None
        if counts[RELEASES] >= ENOUGH:
            break
    level, numbers = FALSE_ALARM / len(counts), counts[RELEASES]
    bare = f"{zeros:,} numbers without noise"
    sharp = chi_square_quantile(0.9, numbers) / chi_square_quantile(level, numbers)
    found = [
        NoiseLevel(
            name,
            _ratio(count, squares[name]),
            _ratio(chi_square_quantile(level, count), squares[name]),
            numbers,
            math.sqrt(sharp),
        )
        for name, count in counts.items()
    ]
    worst = max(found, key=lambda each: each.low)
    by_chance = 2 + 10 * numbers * 2.0**-24
    return worst if zeros < by_chance else replace(worst, array=bare, ratio=LARGEST, low=LARGEST)


def _ratio(expected: float, squares: float) -> float:
    return min(LARGEST, math.sqrt(expected / max(squares, 1e-300)))
