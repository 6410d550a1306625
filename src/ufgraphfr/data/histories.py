"""Every user's items in time order, as CSR over users."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.protocol_draws import PROTOCOL_SEED, Ids


def by_time(data: Interactions, user_ids: Ids, part: Ids | None = None) -> tuple[Ids, Ids]:
    """Every user's items in time order, as CSR; ``part`` by ``part``, if there are parts."""
    rows = len(data.user)
    ptr = bounds(np.bincount(data.user, minlength=data.n_users))
    in_order = data.sequential and data.timestamp is None and part is None
    if in_order and (data.user[1:] >= data.user[:-1]).all():
        return ptr, data.item
    part = np.zeros(rows, np.int64) if part is None else part
    stamp = np.zeros(rows, np.int64) if data.timestamp is None else data.timestamp
    tie = np.arange(rows)
    if not data.sequential:
        key = Key(PROTOCOL_SEED, purpose=Purpose.TIES)
        pair = torch.from_numpy(user_ids[data.user] * data.n_items + data.item)
        tie = key.words(pair, 0, 1)[:, 0].numpy()
    order = np.lexsort((tie, stamp, part, data.user))
    return ptr, data.item[order]


def bounds(counts: NDArray[Any]) -> Ids:
    """From counts to CSR bounds, int64 ``[n + 1]``."""
    return np.concatenate(([0], np.cumsum(counts)))
