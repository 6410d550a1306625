"""How far an evaluation is, as records of a logger that is silent unless somebody listens.

A record's arguments are how many users are ranked, and of how many.
"""

import logging
from collections.abc import Iterator

import torch
from torch import Tensor

STEPS = logging.getLogger("ufgraphfr.steps")
STEPS.propagate = False


def counted(users: int, chunk: int) -> Iterator[Tensor]:
    """Places of users, int64, a chunk at a time; each chunk is told when it is done.

    Args:
        users: how many there are.
        chunk: users at a time, at most.
    """
    # split() would make one empty chunk of nobody
    for places in torch.arange(users).split(chunk) if users else ():
        yield places
        STEPS.debug("%d of %d users are ranked", int(places[-1]) + 1, users)
