"""What was last worked out from some tensors, for those who ask chunk after chunk."""

import functools
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

Made = TypeVar("Made")


def memo(make: Callable[..., Made]) -> Callable[..., Made]:
    """A function that returns its last value while it is given the same tensors and numbers.

    The same tensors means the same objects: they are not held, and nobody may change them in
    place, as nobody does with what a server's memory holds.

    Args:
        make: from tensors and numbers alone to what is kept of them.
    """
    last: tuple[tuple[Any, ...], Made] | None = None

    @functools.wraps(make)
    def made(*given: Any) -> Made:
        nonlocal last
        known = last
        if known is not None and all(map(_same, known[0], given)):
            return known[1]
        value = make(*given)
        marks = (weakref.ref(each) if isinstance(each, Tensor) else each for each in given)
        last = tuple(marks), value
        return value

    return made


def _same(known: Any, given: Any) -> bool:
    """Whether a value is the one that was given last."""
    if isinstance(given, Tensor):
        return isinstance(known, weakref.ref) and known() is given
    return bool(known == given)
