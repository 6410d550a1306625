"""Leave-one-out, what every split has, cold users and items, and 99 sampled candidates.

A user's rows are sorted by time, file order breaking ties. Leave-one-out: the last is the test
item, the one before it the validation item; data whose order means nothing breaks ties by a seeded
hash. Several targets: the last k are for the test, the k before them for the validation, fewer for
users with fewer than 2k + 1 rows, one of each at least.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.core.mapped import blocks, gathered
from ufgraphfr.data.absence import seconds_between
from ufgraphfr.data.histories import by_time
from ufgraphfr.data.interactions import MIN_INTERACTIONS, Interactions
from ufgraphfr.data.protocol_draws import (
    Ids,
    Mask,
    drawn_share,
    sampled_candidates,
    sampled_users,
)
from ufgraphfr.data.row_blocks import bounds

COLD_TARGETS = 10
COLD_KNOWN = (0, 1, 3, 10)
COLD_LEAST = max(COLD_KNOWN) + COLD_TARGETS
"""With fewer items a user cannot be asked for ten after ten."""

HeldOut: TypeAlias = Literal["validation", "test"]


@dataclass(frozen=True)
class Split:
    """Who trains on what, and what is asked of each user.

    Users are ids of the data set throughout. What a user is asked for, its targets, comes right
    after what is known of it then: for the validation its training items, for the test the first
    ``known`` items of its history.

    Attributes:
        n_items: how many items there are.
        ptr: int64 ``[users + 1]``; user u trains on ``train[ptr[u]:ptr[u + 1]]``.
        train: int64 ``[rows]``, items in time order.
        history_ptr: int64 ``[users + 1]``, bounds in ``history``.
        history: int64 ``[interactions]``, everything of every user but cold items, in time order.
        known: int32 ``[users]``, how many items of its history a user's test input holds.
        most_targets: how many targets a user has at most, for either.
        validation_targets: whole numbers ``[users]``, how many it has, 0 for users that are not
            asked; as narrow as they can be, as there may be a million.
        test_targets: likewise.
        data: where it all comes from.
        draw: for the validation and for the test int64 ``[asked, 99]``, never-touched items, for
            all targets of a user; -1 where a user has fewer.
        cold_users: users kept out of training on purpose, int64 ``[cold]``, ascending.
        first_items: int64 ``[cold, 20]``, each cold user's first items in time order; -1 where it
            has fewer.
        cold_items: items kept out of all histories on purpose, int64 ``[cold]``, ascending.
        cold_item_ptr: int64 ``[users + 1]``, bounds in ``cold_item_history``.
        cold_item_history: int64, what each user has of the cold items, in time order.
        given: whether the data bring it along, and so ask each user for all that it has.
    """

    n_items: int
    ptr: Ids
    train: Ids
    history_ptr: Ids
    history: Ids
    known: Ids
    most_targets: int
    validation_targets: Ids
    test_targets: Ids
    data: Interactions = field(repr=False, compare=False)
    draw: Callable[[], Iterator[Ids]] = field(repr=False, compare=False)
    cold_users: Ids
    first_items: Ids
    cold_items: Ids
    cold_item_ptr: Ids
    cold_item_history: Ids
    given: bool = False

    @property
    def n_users(self) -> int:
        """How many users the data set has."""
        return len(self.ptr) - 1

    @cached_property
    def rivals(self) -> dict[HeldOut, Ids]:
        """What ``draw`` draws, when a rank among 100 is asked for."""
        validation, test = self.draw()
        return {"validation": validation, "test": test}

    @property
    def sampled(self) -> dict[HeldOut, Ids]:
        """The same by user, int64 ``[users, 99]``; 0 for users that are not asked."""
        found: dict[HeldOut, Ids] = {}
        for part, rivals in self.rivals.items():
            found[part] = np.zeros((self.n_users, rivals.shape[1]), np.int64)
            found[part][self.asked(part)] = rivals
        return found

    @property
    def touched(self) -> Ids:
        """How many items each user has, int64 ``[users]``."""
        found: Ids = np.diff(self.history_ptr) + np.diff(self.cold_item_ptr)
        return found

    @cached_property
    def warm(self) -> Ids:
        """The users that take part in training, ascending."""
        return np.flatnonzero(np.diff(self.ptr))

    @property
    def validation(self) -> Ids:
        """The first target of each user, int64 ``[users]``; -1 for users that are not asked."""
        return self._first("validation")

    @property
    def test(self) -> Ids:
        """The same for the test."""
        return self._first("test")

    def _first(self, held_out: HeldOut) -> Ids:
        found = np.full(self.n_users, -1)
        found[self.asked(held_out)] = self.targets(held_out)[:, 0]
        return found

    def asked(self, held_out: HeldOut) -> Ids:
        """The users that have a target, ascending."""
        return np.flatnonzero(self._counts(held_out))

    def _counts(self, held_out: HeldOut) -> Ids:
        return self.validation_targets if held_out == "validation" else self.test_targets

    def targets(self, held_out: HeldOut) -> Ids:
        """What each of `asked` is asked for, in time order, int64 ``[asked, most_targets]``.

        A user who has fewer targets is padded with -1.
        """
        counts, column = self._counts(held_out)[self.asked(held_out)], np.arange(self.most_targets)
        place = self._first_place(held_out)[:, None] + column
        # a place beyond the last row is nobody's, whatever it holds
        items = self.history[place.clip(max=len(self.history) - 1)]
        return np.where(column < counts[:, None], items, -1)

    def away(self, held_out: HeldOut) -> NDArray[np.float64] | None:
        """How long each of `asked` was away before its first target, in seconds.

        None where times are no dates.
        """
        place = self._first_place(held_out)
        before, after = self.history[place - 1], self.history[place]
        return seconds_between(self.data, self.asked(held_out), before, after)

    def _first_place(self, held_out: HeldOut) -> Ids:
        """Where the first target of each of `asked` is in ``history``."""
        before = np.diff(self.ptr) if held_out == "validation" else self.known
        found: Ids = (self.history_ptr[:-1] + before)[self.asked(held_out)]
        return found


def leave_one_out(
    data: Interactions,
    cold_users: float = 0.0,
    cold_items: float = 0.0,
    user_ids: Ids | None = None,
    cold_least: int = COLD_LEAST,
    cold_fold: int = 0,
    targets: int = 1,
    most_asked: int | None = None,
) -> Split:
    """Split by time within each user.

    Args:
        data: the interactions.
        cold_users: the share of users, among those with at least ``cold_least`` interactions, that
            are kept out of training altogether.
        cold_items: the share of items that are kept out of all histories. Whoever has fewer than
            three others neither trains nor is asked.
        user_ids: int64 ``[users]``, the ids that key each user's draws; None is 0, 1, and so on.
            Some users of a population, with their ids there, draw what they would among all.
        cold_least: see ``cold_users``.
        cold_fold: which of the disjoint shares of users it is, from 0.
        targets: how many items each user is asked for, at most.
        most_asked: how many users are asked, at most; None is everybody.

    Returns:
        The split; a fixed seed draws cold users, cold items, candidates and who is asked.
    """
    user_ids = np.arange(data.n_users) if user_ids is None else user_ids
    ptr, history = by_time(data, user_ids)
    items = np.arange(data.n_items)
    kept_out = drawn_share(items, items, cold_items, stream=1)
    # zeros that nobody wrote take no memory
    cold_item_ptr, cold_item_history = np.zeros(len(ptr), np.int64), history[:0]
    if len(kept_out):
        is_cold = np.isin(history, kept_out)
        cold_item_ptr, cold_item_history = bounds(is_cold)[ptr], history[is_cold]
        ptr, history = bounds(~is_cold)[ptr], history[~is_cold]
    counts = np.diff(ptr)
    eligible = np.flatnonzero(counts >= cold_least)
    cold = drawn_share(eligible, user_ids, cold_users, stream=0, fold=cold_fold)
    warm = counts >= MIN_INTERACTIONS
    warm[cold] = False
    # one row at least is trained on
    wanted = np.where(warm, np.minimum(targets, (counts - 1) // 2), 0)
    trained, known = np.where(warm, counts - 2 * wanted, 0), np.where(warm, counts - wanted, 0)
    asked = wanted * drawn(wanted > 0, user_ids, most_asked)
    split = divided(data, user_ids, ptr, history, trained, known, targets, (asked, asked), cold)
    return replace(
        split, cold_items=kept_out, cold_item_ptr=cold_item_ptr, cold_item_history=cold_item_history
    )


def divided(
    data: Interactions,
    user_ids: Ids,
    ptr: Ids,
    history: Ids,
    trained: Ids,
    known: Ids,
    most_targets: int,
    wanted: tuple[Ids, Ids],
    cold: Ids,
) -> Split:
    """The split in which users train on their first ``trained`` items."""
    # a target alone is no ranking
    rivals = data.n_items - np.stack((trained, known)) - wanted
    validation_targets, test_targets = np.where(rivals > 0, wanted, 0)
    asked = np.flatnonzero(validation_targets), np.flatnonzero(test_targets)
    narrow = np.min_scalar_type(most_targets)
    return Split(
        n_items=data.n_items,
        ptr=bounds(trained),
        train=_chosen(history, _leading(ptr, trained)),
        history_ptr=ptr,
        history=history,
        known=known.astype(np.int32),
        most_targets=most_targets,
        validation_targets=validation_targets.astype(narrow),
        test_targets=test_targets.astype(narrow),
        data=data,
        draw=partial(sampled_candidates, data, *((users, user_ids[users]) for users in asked)),
        cold_users=cold,
        first_items=_first_items(ptr, history, cold),
        cold_items=np.empty(0, np.int64),
        cold_item_ptr=np.zeros(len(ptr), np.int64),
        cold_item_history=np.empty(0, np.int64),
    )


def _chosen(column: Ids, mask: Mask) -> Ids:
    """``column[mask]``, some rows at a time."""
    return gathered((column[some][mask[some]] for some in blocks(column)), column.dtype)


def _leading(ptr: Ids, counts: Ids) -> Mask:
    """The first ``counts`` rows of each user, bool ``[rows]``: a byte a row, and no numbers."""
    steps = np.zeros(ptr[-1] + 1, np.int8)
    np.add.at(steps, ptr[:-1], 1)
    np.add.at(steps, ptr[:-1] + counts, -1)
    mask: Mask = np.cumsum(steps[:-1], dtype=np.int8).astype(bool)
    return mask


def drawn(eligible: Mask, user_ids: Ids, most: int | None) -> Mask:
    """Who of the eligible users is asked: everybody, or a sample."""
    return eligible if most is None else sampled_users(np.flatnonzero(eligible), user_ids, most)


def _first_items(ptr: Ids, history: Ids, users: Ids) -> Ids:
    """The first items of some users, -1 where they have fewer."""
    place = ptr[users][:, None] + np.arange(COLD_LEAST)
    own = place < ptr[users + 1][:, None]
    return np.where(own, history[np.where(own, place, 0)], -1)
