"""Two dates, the same for all users, divide everybody's training, validation and test.

A user trains on what comes before the first date; its first k rows from that date on are for the
validation, its first k from the second date on for the test. So no user trains on rows later than
another's target (Ji, Sun, Zhang, Li, "A critical study on data leakage in recommender system
offline evaluation", ACM TOIS 41(3), 2023).
"""

import numpy as np

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.histories import by_time
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.protocol_draws import Ids
from ufgraphfr.data.split import Split, divided, drawn


def global_time(
    data: Interactions,
    train_until: float = 0.8,
    validate_until: float = 0.9,
    targets: int = 1,
    most_asked: int | None = None,
) -> Split:
    """Split at two dates that are the same for all users.

    Asked are users who train (on one item at least, the least that leave-one-out trains on) and
    have an interaction in the period of the target. So a user may be asked for the validation, the
    test, both or neither; users who came after the first date are unknown to every model.

    Args:
        data: the interactions.
        train_until: the share of all interactions before the first date, in (0, 1).
        validate_until: the share before the second date.
        targets: how many items each user is asked for, at most.
        most_asked: how many users are asked, at most, among those that are in the validation or
            the test; None is everybody.

    Returns:
        The split; no user or item is kept out on purpose.

    Raises:
        InputError: the data have no dates, or no user is left to ask.
    """
    stamps = _dates(data)
    ordered = np.sort(stamps)
    first, second = (ordered[int(share * len(ordered))] for share in (train_until, validate_until))
    users = data.n_users
    trained = np.bincount(data.user[stamps < first], minlength=users)
    known = np.bincount(data.user[stamps < second], minlength=users)
    user_ids = np.arange(users)
    ptr, history = by_time(data, user_ids)
    later = known - trained, np.diff(ptr) - known
    first_wanted, then_wanted = (
        np.where(trained > 0, np.minimum(targets, count), 0) for count in later
    )
    wanted = first_wanted, then_wanted
    for held_out, counts in zip(("validation", "test"), wanted, strict=True):
        if not counts.any():
            raise InputError(
                f"global-time: no user of '{data.name}' has interactions both before the "
                f"first date ({first}) and in the time of the {held_out} (dates {first}, "
                f"{second}): choose other shares train_until and validate_until, or leave-one-out"
            )
    no_users = np.empty(0, np.int64)
    asked = drawn((first_wanted > 0) | (then_wanted > 0), user_ids, most_asked)
    wanted = first_wanted * asked, then_wanted * asked
    return divided(data, user_ids, ptr, history, trained, known, targets, wanted, no_users)


def _dates(data: Interactions) -> Ids:
    """The timestamps, if they are dates that mean the same for all users."""
    name, fix = data.name, "use [protocol] split = 'leave-one-out'"
    if data.timestamp is None:
        raise InputError(f"data set '{name}' has no timestamps, which global-time needs: {fix}")
    if not data.sequential:
        raise InputError(
            f"the times of data set '{name}' do not tell what came first (it is not sequential), "
            f"which global-time needs: {fix}"
        )
    begin = np.full(data.n_users, np.iinfo(np.int64).max)
    np.minimum.at(begin, data.user, data.timestamp)
    together = int(np.unique(begin, return_counts=True)[1].max())
    if together > max(1, len(begin) // 2):
        raise InputError(
            f"{together} of {len(begin)} users of data set '{name}' begin at the same time, as "
            f"when times count each user's own interactions; global-time needs dates: {fix}"
        )
    return data.timestamp
