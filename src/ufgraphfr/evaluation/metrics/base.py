"""What a metric must offer: a value of each target's rank, or one of all top lists.

A metric is named ``kind`` or ``kind@k``, where k becomes its key ``at``.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ufgraphfr.core.spec import Spec


class Metric(Spec, ABC):
    """One figure of an evaluation; derive from `RankMetric` or `ListMetric`."""

    @property
    def name(self) -> str:
        """As in ``[evaluation] metrics`` and in a result."""
        at = getattr(self, "at", None)
        return self.kind if at is None else f"{self.kind}@{at}"


class RankMetric(Metric):
    """A mean over users of the mean over their targets, so that sums over clients are enough."""

    @abstractmethod
    def values(
        self, ranks: NDArray[np.float64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Each target's value, in [0, 1], from its own rank alone.

        Args:
            ranks: float64, any shape; from 1, halves where scores tie.
            candidates: int64, the same shape: how many items were ranked, the target among them.

        Returns:
            float64 of the same shape.
        """


class TopRankMetric(RankMetric):
    """A metric of ranks to which only the best k items count."""

    at: int = Field(ge=1)
    """The k of the best k items."""


class JointMetric(TopRankMetric):
    """A metric of one ranking of all of a user's targets, which push each other down.

    A user's figure is the sum of its targets' values over what the best ranking has.
    """

    @abstractmethod
    def ideal(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """The largest sum of values for users of so many targets, from 1; int64 ``[users]``."""


@dataclass(frozen=True)
class TopLists:
    """The best items of every user's full ranking, added up over users.

    Attributes:
        listed: int64 ``[items]``, in how many lists an item is.
        known: int64 ``[items]``, of how many of these users an item was known: their input.
        users: how many users there are.
    """

    listed: NDArray[np.int64]
    known: NDArray[np.int64]
    users: int

    def __add__(self, other: "TopLists") -> "TopLists":
        """The lists of both."""
        return TopLists(
            self.listed + other.listed, self.known + other.known, self.users + other.users
        )


class ListMetric(Metric):
    """A figure of all users' lists of the best items, from how often each item is listed.

    Numbers for each item leave no device in a deployment, so there it is not computed; of all list
    metrics only ``coverage@10`` is, from the items that somebody on a node is shown.
    """

    at: int = Field(10, ge=1)
    """Items in a list."""

    @abstractmethod
    def value(self, lists: TopLists) -> float:
        """The figure; a list is shorter where a user has fewer candidates."""
