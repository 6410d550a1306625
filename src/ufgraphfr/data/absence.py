"""How long users were away before they were asked, where times are dates."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ufgraphfr.core.mapped import blocks, gathered, let_go
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.protocol_draws import Ids
from ufgraphfr.data.timestamps import STEP, unit_of


def second(data: Interactions) -> int | None:
    """How many units of the data's times a second has; None where times are no dates.

    Nor are they told where they do not say what came first.
    """
    if data.timestamp is None or not data.sequential:
        return None
    unit = unit_of(max(int(data.timestamp[some].max()) for some in blocks(data.timestamp)))
    return None if unit is None else int(STEP**unit)


def last_seen(data: Interactions) -> Tensor | None:
    """When each user had its last item, in seconds since 1970; None without dates.

    Returns:
        float64 ``[users]``; who has none was away from nothing, so infinity.
    """
    units = second(data)
    if units is None or data.timestamp is None:
        return None
    found = np.full(data.n_users, -np.inf)
    for own in blocks(data.user):
        np.maximum.at(found, data.user[own], data.timestamp[own] / units)
    found[np.isinf(found)] = np.inf
    return torch.from_numpy(found)


def seconds_between(
    data: Interactions, users: Ids, before: Ids, after: Ids
) -> NDArray[np.float64] | None:
    """From one item of each user to a later one, float64 ``[users]``; None without dates.

    Args:
        data: the interactions.
        users: int64 ``[users]``, ascending.
        before: int64 ``[users]``, an item of each.
        after: likewise; where it is earlier, no time has passed.
    """
    units = second(data)
    if units is None or data.timestamp is None:
        return None
    here = np.zeros(data.n_users, bool)
    here[users] = True
    places = (np.flatnonzero(here[data.user[own]]) + own.start for own in blocks(data.user))
    rows = gathered(places, np.int64)
    pair = data.user[rows].astype(np.int64) * data.n_items + data.item[rows]
    order = pair.argsort()
    pair, stamp = pair[order], data.timestamp[rows][order]
    let_go(data.user.nbytes)
    first, then = (
        stamp[np.searchsorted(pair, users * data.n_items + items)] for items in (before, after)
    )
    found: NDArray[np.float64] = np.maximum(then - first, 0) / units
    return found
