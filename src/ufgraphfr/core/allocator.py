"""What becomes of freed memory, where the C library can be told.

A run keeps it for its next round: tensors of some MB are otherwise mapped and unmapped each time,
and the kernel clears every page of theirs, a fifth of a round's CPU time. A process that waits for
hours hands it back.
"""

import ctypes
import sys
from collections.abc import Callable

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3), glibc."""
_BLOCK = 2**30
"""Bytes; smaller blocks come from memory that is kept."""


def keep_freed_memory() -> bool:
    """Ask for it; returns whether the C library understood (glibc does)."""
    mallopt = _of_the_library("mallopt")
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _BLOCK) and mallopt(_TRIM_THRESHOLD, 2 * _BLOCK - 1))


def give_back_freed_memory() -> bool:
    """Hand back to the system what is free now; returns whether the C library understood."""
    trim = _of_the_library("malloc_trim")
    if trim is None:
        return False
    trim(0)
    return True


def _of_the_library(name: str) -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return found
