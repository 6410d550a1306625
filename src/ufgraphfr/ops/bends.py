"""What the weights of a fusion bend with: how long a history is, and how long its user was away.

Of whom little is known other scores tell more than of whom much is, and who comes back after months
is asked for other items than who is in the middle of a visit; a device knows both when it asks.
Each ramp rises from 0 to 1 between two values, linearly in their logarithm, and stays as it is
beyond. Histories have one, from 4 to 256 items. Times have four: weights are those of a visit up to
an hour, and bend at a day, a week, a month and half a year.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

TIMES = {
    "hour": 3_600,
    "day": 86_400,
    "week": 604_800,
    "month": 2_592_000,
    "half year": 15_724_800,
}
"""In seconds."""
RAMPS = len(TIMES) - 1
SHORT, LONG = 4, 256
"""Items of a history."""


def ramps(away: Tensor) -> Tensor:
    """From seconds ``[clients]`` to float32 ``[clients, RAMPS]``."""
    return _rising(away.double().clamp(min=0) + 1, [seconds + 1 for seconds in TIMES.values()])


def length_ramp(counts: Tensor) -> Tensor:
    """From items of a history ``[clients]`` to float32 ``[clients, 1]``."""
    return _rising(counts.double().clamp(min=1), (SHORT, LONG))


def _rising(numbers: Tensor, between: Sequence[int]) -> Tensor:
    """A ramp for each two that are neighbours, float32 ``[clients, len(between) - 1]``."""
    bends = torch.tensor(between, dtype=torch.float64, device=numbers.device).log2()
    return ((numbers.log2()[:, None] - bends[:-1]) / bends.diff()).clamp(0, 1).float()


def sets_of(history_length: bool, absence: bool) -> int:
    """How many weights a part has: one, and what each ramp of what they bend with adds."""
    return 1 + history_length + RAMPS * absence


def bend_with(sets: int) -> tuple[bool, bool]:
    """Whether so many bend with the length of a history, and with the time away."""
    return sets in (sets_of(True, False), sets_of(True, True)), sets >= sets_of(False, True)


def unbent(weights: Tensor, sets: int) -> Tensor:
    """Weights of parts ``[choices, parts]`` that are the same for everybody, whenever.

    Returns:
        float ``[choices, sets * parts]``, see `bent`.
    """
    added = weights.new_zeros(len(weights), (sets - 1) * weights.shape[1])
    return torch.cat((weights, added), 1)


def bends(sets: int, counts: Tensor, away: Tensor | None) -> Tensor:
    """How much of each of its sets of weights a client has.

    Args:
        sets: how many there are, see `sets_of`.
        counts: items of each history, ``[clients]``.
        away: seconds ``[clients]``; None for users in a visit.

    Returns:
        float32 ``[clients, sets]``, the first of them 1.
    """
    found, (history_length, absence) = [torch.ones_like(counts)[:, None].float()], bend_with(sets)
    if history_length:
        found.append(length_ramp(counts))
    if absence:
        found.append(ramps(torch.zeros_like(counts) if away is None else away))
    return torch.cat(found, 1)


def bent(fitted: Tensor, parts: int, counts: Tensor, away: Tensor | None) -> Tensor:
    """Each client's weights of the parts.

    Args:
        fitted: float ``[..., clients, sets * parts]``: those of a short history in a visit, and
            what each ramp adds.
        parts: how many there are.
        counts: items of each history, ``[clients]``.
        away: seconds ``[clients]``; None for users in a visit.

    Returns:
        float ``[..., clients, parts]``.
    """
    if fitted.shape[-1] == parts:
        return fitted
    each = fitted.unflatten(-1, (-1, parts))
    return torch.einsum("cs,...csp->...cp", bends(each.shape[-2], counts, away).to(each), each)
