"""An array of a smaller catalogue as the beginning of one of a larger: new items come last."""

from torch import Tensor


def grown(fresh: Tensor, before: Tensor) -> Tensor:
    """What was trained, where the larger array has a place for it; elsewhere as it begins.

    Args:
        fresh: any shape, as training begins.
        before: the same number of axes, none longer; anything else leaves ``fresh`` as it is.
    """
    if fresh.shape == before.shape:
        return before
    fits = fresh.dim() == before.dim() and fresh.dtype == before.dtype
    if not fits or any(old > new for old, new in zip(before.shape, fresh.shape, strict=True)):
        return fresh
    whole = fresh.clone()
    whole[tuple(slice(size) for size in before.shape)] = before
    return whole
