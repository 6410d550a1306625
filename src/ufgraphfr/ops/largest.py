"""The largest of many numbers, without the copies that sorting or `topk` make of them."""

import torch
from torch import Tensor

AT_ONCE = 2**22
"""Numbers that are looked at together."""
_DIGIT = 16
"""Bits of a number that are counted in a pass."""


def largest(values: Tensor, count: int) -> Tensor:
    """Which are the largest; of equal ones the first.

    Args:
        values: float32 ``[n]``, not negative; infinity is the largest.
        count: how many, 1 to n.

    Returns:
        bool ``[n]``.
    """
    # positive floats are in the order of their bits: the smallest one that is in, digit by digit
    bits, prefix, rest = values.view(torch.int32), 0, count
    for shift in (_DIGIT, 0):
        counts = torch.zeros(2**_DIGIT, dtype=torch.int64, device=values.device)
        for part in bits.split(AT_ONCE):
            own = part if shift else part[(part >> _DIGIT) == prefix]
            counts += torch.bincount((own >> shift) & (2**_DIGIT - 1), minlength=len(counts))
        from_here = counts.flip(0).cumsum(0).flip(0)
        digit = int((from_here >= rest).nonzero()[-1, 0])
        rest -= int(from_here[digit] - counts[digit])
        prefix = (prefix << _DIGIT) + digit
    chosen = bits > prefix
    for first, part in enumerate(bits.split(AT_ONCE)):
        equal = (part == prefix).nonzero()[:rest, 0]
        chosen[equal + first * AT_ONCE] = True
        rest -= len(equal)
    return chosen
