"""How long a user was away, as numbers on which the weights of a fusion depend.

Who comes back after months is asked for other items than who is in the middle of a visit, and a
device knows when it asks. Each ramp rises from 0 to 1 between two durations, linearly in the
logarithm of the time: weights are those of a visit up to an hour, bend at a day, a week and a
month, and stay as they are from half a year on.
"""

import torch
from torch import Tensor

BENDS = {
    "hour": 3_600,
    "day": 86_400,
    "week": 604_800,
    "month": 2_592_000,
    "half year": 15_724_800,
}
"""In seconds."""
RAMPS = len(BENDS) - 1


def ramps(away: Tensor) -> Tensor:
    """From seconds ``[clients]`` to float32 ``[clients, RAMPS]``."""
    bends = torch.log2(torch.tensor(list(BENDS.values()), dtype=torch.float64) + 1)
    at = torch.log2(away.double().clamp(min=0) + 1)[:, None]
    bends = bends.to(at.device)
    return ((at - bends[:-1]) / bends.diff()).clamp(0, 1).float()


def whenever(weights: Tensor, dated: bool) -> Tensor:
    """Weights of parts ``[choices, parts]`` that are the same after any time.

    Returns:
        float ``[choices, fitted]``, see `weights_after`; as they are if times are not ``dated``.
    """
    added = RAMPS * weights.shape[1] if dated else 0
    return torch.cat((weights, weights.new_zeros(len(weights), added)), 1)


def weights_after(fitted: Tensor, parts: int, away: Tensor | None) -> Tensor:
    """Each client's weights of the parts, after the time that it was away.

    Args:
        fitted: float ``[..., clients, parts]``, weights whatever the time, or ``[..., clients,
            (1 + RAMPS) * parts]``: in a visit, and what each ramp adds.
        parts: how many there are.
        away: seconds ``[clients]``; None for users in a visit.

    Returns:
        float ``[..., clients, parts]``.
    """
    own = fitted[..., :parts]
    if fitted.shape[-1] == parts or away is None:
        return own
    added = fitted[..., parts:].unflatten(-1, (RAMPS, parts))
    return own + torch.einsum("cr,...crp->...cp", ramps(away).to(own), added)
