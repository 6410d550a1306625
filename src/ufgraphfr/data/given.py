"""The split that the data bring along, as benchmarks do: who trains on what, what is asked.

All of a user's validation items are asked for from its training items, and all of its test items
from these and the validation items. Who has nothing to train on is not asked. Without validation
items nobody is asked for the validation.
"""

from dataclasses import replace

import numpy as np

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.histories import by_time
from ufgraphfr.data.interactions import PARTS, Interactions
from ufgraphfr.data.split import Split, divided, drawn


def given(data: Interactions, most_asked: int | None = None) -> Split:
    """The split that the data say.

    Within a part a user's items are in the order of time, or of a hash where there is none.

    Args:
        data: the interactions, with their parts.
        most_asked: how many users are asked, at most; None is everybody.

    Raises:
        InputError: they say none, or nobody can be asked for the test.
    """
    if data.part is None:
        raise InputError(
            f"split = 'given': data set '{data.name}' does not say what is trained on and what "
            f"held out: name the part of each file, [data] parts = ['train', 'validation', "
            f"'test'], or a column of these values, [data.columns] part = 'NAME'"
        )
    users = np.arange(data.n_users)
    trained, validated, tested = (
        np.bincount(data.user[data.part == part], minlength=len(users))
        for part in range(len(PARTS))
    )
    own = drawn((trained > 0) & (validated + tested > 0), users, most_asked)
    wanted = np.where(own, validated, 0), np.where(own, tested, 0)
    if not wanted[1].any():
        raise InputError(
            f"split = 'given': no user of '{data.name}' has items of both 'train' and 'test'"
        )
    ptr, history = by_time(data, users, data.part)
    most = max(int(each.max()) for each in wanted)
    nobody = np.empty(0, np.int64)
    known = trained + validated
    split = divided(data, users, ptr, history, trained, known, most, wanted, nobody)
    return replace(split, given=True)
