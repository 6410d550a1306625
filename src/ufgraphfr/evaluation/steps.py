"""How far an evaluation is, as records of a logger that is silent unless somebody listens.

A record's arguments are how many users are ranked, and of how many.
"""

import logging
from collections.abc import Iterator

from torch import Tensor

STEPS = logging.getLogger("ufgraphfr.steps")
STEPS.propagate = False


def counted(users: Tensor, chunk: int) -> Iterator[Tensor]:
    """Places of users, int64 ``[users]``, a chunk at a time; each is told when it is done.

    Args:
        users: the places.
        chunk: users at a time, at most.
    """
    done = 0
    # split() would make one empty chunk of nobody
    for places in users.split(chunk) if len(users) else ():
        yield places
        done += len(places)
        STEPS.debug("%d of %d users are ranked", done, len(users))
