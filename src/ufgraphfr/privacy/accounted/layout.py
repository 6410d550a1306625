"""How fine the grid of a sum is, and how many bytes its numbers take on the wire.

A total that is masked is known modulo a power of two alone, so that power must exceed its range.
A grid that is coarser by bits which noise hides anyway keeps it within the bytes of a float32.
"""

import math
from dataclasses import dataclass

LEAST_BITS, MOST_BITS = 16, 24
"""Of the clip: below the least rounding would show, beyond the most float32 would not."""
TAIL = 12
"""Standard deviations of noise that fit beside the data: more happens once in 10**32 numbers."""


@dataclass(frozen=True)
class Layout:
    """Of the sums of one part.

    Attributes:
        bits: of the clip, which is at least ``2**bits`` steps of the grid and less than twice that.
        width: bytes of one number.
    """

    bits: int
    width: int


FINE = Layout(MOST_BITS, 8)
"""Of sums that are not masked."""


def layout(clients: float, noise: float) -> Layout:
    """The shortest one that holds any sum, with the finest grid it allows.

    Args:
        clients: most clients of a round; each adds one clip at most.
        noise: standard deviation of all noise in the total, in clips.
    """
    most = math.ceil(math.log2(clients + TAIL * noise))
    for width in range(4, 8):
        # a bit for the sign, and one since a clip may be nearly 2**(bits + 1) steps
        bits = 8 * width - 2 - most
        if bits >= LEAST_BITS:
            return Layout(min(bits, MOST_BITS), width)
    return FINE
