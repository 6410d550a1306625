"""What travels: one array of each of some clients, however it is held.

Whoever handles messages asks for these operations and never for a class: `Dense` and `Rows` hold
numbers as they were computed (`Plain`), `Quantised` and `LowRank` approximations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, Self, TypeAlias

import torch
from torch import Tensor

Matrix: TypeAlias = tuple[int, int, int]
"""Where a flat array holds a matrix: its first number, its rows and its columns."""
Layout: TypeAlias = tuple[int, tuple[Matrix, ...], int]
"""Of matrices as products of thin ones: their rank, where they lie, and the array's size."""
Fault: TypeAlias = Literal["dtype", "shape"]
"""What of an array that came from outside does not fit together."""


@dataclass(frozen=True)
class ArraySpec:
    """All of one client's array but its numbers.

    Attributes:
        rows: whether only changed rows of an item table are held.
        floating: floats; otherwise whole numbers of any width.
        shape: without a clients axis.
        signed: whether whole numbers may be negative, as clipped updates on a grid are; counts
            are not.
        dtype: of the numbers.
        bits: of a level, where floats travel on a coarse grid; 0 where they do not.
        blocks: of a coarse grid, which of its blocks travel; None for all.
        layout: of matrices as products of thin ones, whose numbers the rest describes; or None.
    """

    rows: bool
    floating: bool
    shape: tuple[int, ...]
    signed: bool = True
    dtype: torch.dtype = torch.float32
    bits: int = 0
    blocks: Tensor | None = None
    layout: Layout | None = None


class Array(Protocol):
    """One array of each of some clients; where clients are summed, of their sum alone."""

    @property
    def clients(self) -> int:
        """How many clients' arrays there are."""

    @property
    def spec(self) -> ArraySpec:
        """The form of one client's array."""

    def select(self, clients: Tensor) -> Self:
        """The arrays of some of the clients, int64 ``[n]``, in that order."""

    @classmethod
    def cat(cls, parts: list[Self], places: Sequence[Tensor]) -> Self:
        """The clients of all parts as one; the list is emptied on the way.

        Args:
            parts: at least one.
            places: for each part int64 ``[its clients]``, their places in the whole.
        """

    def dense(self) -> Tensor:
        """The numbers, ``[clients, ...]``."""

    def total(self) -> Tensor:
        """The sum over clients."""

    def plain(self) -> "Plain":
        """The same with its numbers written out; changed rows stay such."""

    def encoded(self, name: str) -> dict[str, Tensor]:
        """The tensors that hold it in a message, see `ufgraphfr.federation.codec`."""

    def fault(self) -> Fault | None:
        """What does not fit together; None if nothing."""

    def is_finite(self) -> bool:
        """Whether all numbers are, also those that what travels stands for."""


class Plain(Array, Protocol):
    """Numbers as they were computed, which a mechanism may bound and change."""

    sparse: ClassVar[bool]
    """Whether only changed rows are held."""

    @property
    def values(self) -> Tensor:
        """The numbers, ``[n, ...]``."""

    @property
    def owner(self) -> Tensor:
        """int64 ``[n]``: the client that each of ``values`` belongs to."""

    def with_values(self, values: Tensor) -> Self:
        """The same with other numbers."""

    def by_item(self) -> Tensor:
        """The numbers as rows of items, ``[n, dim]`` or ``[clients, items, dim]``.

        An array without such rows counts as rows of one number.
        """


def sized(spec: ArraySpec) -> int:
    """How many numbers one client's array has."""
    return torch.Size(spec.shape).numel()


def all_finite(values: Tensor) -> bool:
    """Whether all numbers are: if their sum is, which is found ten times as fast."""
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())
