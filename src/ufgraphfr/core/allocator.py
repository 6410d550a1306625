"""Memory that a round frees is kept for the next one, where the C library can be told so.

Tensors of some MB are otherwise mapped and unmapped each time, and the kernel clears every page of
theirs: a fifth of a round's CPU time.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3), glibc."""
_BLOCK = 2**30
"""Bytes; smaller blocks come from memory that is kept."""


def keep_freed_memory() -> bool:
    """Ask for it; returns whether the C library understood (glibc does)."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _BLOCK) and mallopt(_TRIM_THRESHOLD, 2 * _BLOCK - 1))
