"""Leave-one-out, cold users, and the 99 sampled candidates of the secondary ranking.

A user's rows are sorted by time, file order breaking ties; the last is the test item, the one
before it the validation item. Data whose order means nothing breaks ties by a seeded hash.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.negatives import draw_outside

PROTOCOL_SEED = 20250114
"""Fixed: every run of every algorithm ranks against the same sampled candidates."""

SAMPLED = 99
COLD_TARGETS = 10
COLD_KNOWN = (0, 1, 3, 10)


@dataclass(frozen=True)
class Split:
    """Who trains on what, and what is asked of each user.

    Users are the data set's numbers throughout.

    Attributes:
        items: how many items there are.
        ptr: int64 ``[users + 1]``; user u trains on ``train[ptr[u]:ptr[u + 1]]``.
        train: int64 ``[rows]``, items in time order.
        validation: int64 ``[users]``, -1 for cold users.
        test: int64 ``[users]``, -1 for cold users.
        sampled_validation: int64 ``[users, 99]``, never-touched items; 0 for cold users.
        sampled_test: int64 ``[users, 99]``, likewise, drawn apart.
        cold: users that never train, int64 ``[cold]``, ascending.
        cold_items: int64 ``[cold, 20]``, each one's first items in time order.
    """

    items: int
    ptr: NDArray[np.int64]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    sampled_validation: NDArray[np.int64]
    sampled_test: NDArray[np.int64]
    cold: NDArray[np.int64]
    cold_items: NDArray[np.int64]

    @property
    def users(self) -> int:
        """How many users the data set has."""
        return len(self.ptr) - 1

    @property
    def warm(self) -> NDArray[np.int64]:
        """The users that take part in training, ascending."""
        return np.flatnonzero(self.validation >= 0)


def leave_one_out(data: Dataset, cold_users: float = 0.0) -> Split:
    """Split by time within each user.

    Args:
        data: the interactions.
        cold_users: the share of users, among those with at least 20 interactions, that are
            kept out of training altogether.

    Returns:
        The split; a fixed seed draws cold users and candidates.
    """
    ptr, ordered = _by_time(data)
    counts = np.diff(ptr)
    cold = _draw_cold(counts, cold_users)
    is_cold = np.zeros(len(counts), dtype=bool)
    is_cold[cold] = True
    held_out = np.where(is_cold, counts, 2)
    place = np.arange(len(ordered)) - np.repeat(ptr[:-1], counts)
    train = ordered[place < np.repeat(counts - held_out, counts)]
    last = ptr[1:] - 1
    touched = _sorted_within(ptr, ordered)
    return Split(
        items=len(data.items),
        ptr=np.concatenate(([0], np.cumsum(counts - held_out))),
        train=train,
        validation=np.where(is_cold, -1, ordered[last - 1]),
        test=np.where(is_cold, -1, ordered[last]),
        sampled_validation=_candidates(1, len(data.items), ptr, touched, is_cold),
        sampled_test=_candidates(2, len(data.items), ptr, touched, is_cold),
        cold=cold,
        cold_items=ordered[ptr[cold][:, None] + np.arange(max(COLD_KNOWN) + COLD_TARGETS)],
    )


def _by_time(data: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every user's items in time order, as CSR."""
    rows = len(data.user)
    stamp = np.zeros(rows, np.int64) if data.timestamp is None else data.timestamp
    tie = np.arange(rows)
    if not data.card.sequential:
        key = Key(PROTOCOL_SEED, purpose=Purpose.TIES)
        pair = torch.from_numpy(data.user * len(data.items) + data.item)
        tie = key.words(pair, 0, 1)[:, 0].numpy()
    order = np.lexsort((tie, stamp, data.user))
    counts = np.bincount(data.user, minlength=len(data.users))
    return np.concatenate(([0], np.cumsum(counts))), data.item[order]


def _draw_cold(counts: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    eligible = np.flatnonzero(counts >= max(COLD_KNOWN) + COLD_TARGETS)
    draws = Key(PROTOCOL_SEED, purpose=Purpose.SPLIT).words(torch.from_numpy(eligible), 0, 1)
    order = np.argsort(draws[:, 0].numpy(), kind="stable")
    return np.sort(eligible[order[: round(share * len(eligible))]])


def _sorted_within(ptr: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
    owner = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    return values[np.lexsort((values, owner))]


def _candidates(
    stream: int,
    items: int,
    ptr: NDArray[np.int64],
    touched: NDArray[np.int64],
    is_cold: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """99 distinct items each user never touched (all of them, repeated, if there are fewer)."""
    drawn = draw_outside(
        Key(PROTOCOL_SEED, round=stream, purpose=Purpose.CANDIDATES),
        torch.arange(len(ptr) - 1),
        SAMPLED,
        items,
        torch.from_numpy(ptr),
        torch.from_numpy(touched),
        distinct=True,
    ).numpy()
    return np.where(is_cold[:, None], 0, drawn)
