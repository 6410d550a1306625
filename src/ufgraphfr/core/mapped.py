"""Long columns in files without a name, mapped into memory, whose pages are let go again.

A column below `LARGE` bytes is an ordinary array. A longer one lies on disk, in the folder for
temporary files (``TMPDIR``), as long as this process holds it. What is read of it stays in memory
until `let_go`.
"""

import ctypes
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

LARGE = 2**25
"""Bytes from which a column is mapped: shorter ones are not worth a file."""
ROWS_AT_ONCE = 2**20
"""Rows that are worked on together: what is made of them on the way takes some tens of MB."""
MARK = "ufgraphfr-column-"
"""In the names of the files, by which this process finds its own among what it has mapped."""
_WRITTEN_AT_ONCE = 2**16
_DONT_NEED = 4
"""Of madvise(2). Of a shared mapping of a file it forgets pages and no content."""

Column: TypeAlias = NDArray[Any]


class Growing:
    """A column of parts that are added one after the other; in a file once it is long."""

    def __init__(self, dtype: DTypeLike) -> None:
        """Begins without rows."""
        self._dtype = np.dtype(dtype)
        self._kept, self._size = list[Column](), 0
        self._file: IO[bytes] | None = None

    def add(self, part: Column) -> None:
        """More rows, below those there are."""
        self._kept.append(np.ascontiguousarray(part, self._dtype))
        self._size += self._kept[-1].nbytes
        if self._file is None and self._size >= LARGE:
            # it is closed, and so removed, when this is; what is mapped stays
            self._file = tempfile.NamedTemporaryFile(prefix=MARK)  # noqa: SIM115
        if self._file is not None:
            for each in self._kept:
                raw = each.view(np.uint8).data
                # the kernel reads as much around a row as was written at once
                for first in range(0, len(raw), _WRITTEN_AT_ONCE):
                    self._file.write(raw[first : first + _WRITTEN_AT_ONCE])
            self._kept.clear()

    def column(self) -> Column:
        """All rows; nothing is added after that."""
        if self._file is None:
            return np.concatenate([np.empty(0, self._dtype), *self._kept])
        self._file.flush()
        with self._file as file:
            return np.asarray(np.memmap(file.name, self._dtype, "r+"))


def gathered(parts: Iterable[Column], dtype: DTypeLike) -> Column:
    """One column of parts that are made one after the other."""
    found = Growing(dtype)
    for part in parts:
        found.add(part)
    return found.column()


def mapped(values: Column) -> Column:
    """The same column, on disk if it is long."""
    return gathered([values], values.dtype) if values.nbytes >= LARGE else values


def blocks(column: Column) -> Iterator[slice]:
    """Places in a column, some at a time; the pages of those before are let go."""
    for first in range(0, len(column), ROWS_AT_ONCE):
        yield slice(first, min(first + ROWS_AT_ONCE, len(column)))
        let_go(column.nbytes)


def let_go(size: int = LARGE) -> None:
    """Forget the pages that this process holds of its columns; they are read again when needed.

    Args:
        size: bytes of what was read: there is no file of a short column.
    """
    if size < LARGE or sys.platform != "linux":
        return
    advise = ctypes.CDLL(None).madvise
    for line in Path("/proc/self/maps").read_text().splitlines():
        if MARK in line:
            begin, end = (int(place, 16) for place in line.split(maxsplit=1)[0].split("-"))
            advise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _DONT_NEED)
