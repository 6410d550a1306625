"""What is known of each user, where there may be a million: sequences that are no Python objects.

They equal any other sequence of the same values, and give tuples when they are sliced.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

T = TypeVar("T")


class _Column(Sequence[T]):
    @abstractmethod
    def _one(self, place: int) -> T:
        """The value at a place that there is."""

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[T, ...]: ...
    def __getitem__(self, place: int | slice) -> T | tuple[T, ...]:
        """One value, or some."""
        found = range(len(self))[place]
        return tuple(map(self._one, found)) if isinstance(found, range) else self._one(found)

    def __eq__(self, other: object) -> bool:
        """Whether another sequence has the same values."""
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(one == its for one, its in zip(self, other, strict=True))

    def __hash__(self) -> int:
        """That of a tuple of the same values, which it equals."""
        return hash(tuple(self))


class Names(_Column[str]):
    """Strings in one Arrow column."""

    def __init__(self, names: Iterable[str]) -> None:
        """Takes the names in order; of a column without a copy."""
        own = names.series if isinstance(names, Names) else names
        self.series: pl.Series = (
            own if isinstance(own, pl.Series) else pl.Series(list(own), dtype=pl.String)
        )

    def __len__(self) -> int:
        """How many there are."""
        return len(self.series)

    def __iter__(self) -> Iterator[str]:
        """All in order."""
        return iter(self.series)

    def _one(self, place: int) -> str:
        found: str = self.series[place]
        return found


class Repeated(_Column[T]):
    """Values of which few are distinct: each of these once, and a number for every place."""

    def __init__(self, distinct: Sequence[T], number: NDArray[Any]) -> None:
        """Takes the distinct values, and which of them stands where."""
        self._distinct: tuple[T, ...] = tuple(distinct)
        # as narrow as they can be, as there may be a million
        self._number = number.astype(np.min_scalar_type(-max(1, len(self._distinct))))

    def __len__(self) -> int:
        """How many places there are."""
        return len(self._number)

    def __iter__(self) -> Iterator[T]:
        """All in order."""
        return (self._distinct[number] for number in self._number)

    def _one(self, place: int) -> T:
        return self._distinct[int(self._number[place])]
