"""Every user's items in time order, as CSR over users."""

import numpy as np
import torch

from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.mapped import gathered
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.protocol_draws import PROTOCOL_SEED, Ids
from ufgraphfr.data.row_blocks import Rows, ascending, bounds, by_users, counted


def by_time(data: Interactions, user_ids: Ids, part: Ids | None = None) -> tuple[Ids, Ids]:
    """Every user's items in time order, as CSR; ``part`` by ``part``, if there are parts."""
    ptr = bounds(counted(data.user, data.n_users))
    in_order = data.sequential and data.timestamp is None and part is None
    if in_order and ascending(data.user):
        return ptr, data.item

    def ordered(rows: Rows) -> Ids:
        user, item = data.user[rows], data.item[rows]
        keys = [user, *(each[rows] for each in (part, data.timestamp) if each is not None)]
        if not data.sequential:
            key = Key(PROTOCOL_SEED, purpose=Purpose.TIES)
            pair = torch.from_numpy(user_ids[user] * data.n_items + item)
            keys.append(key.words(pair, 0, 1)[:, 0].numpy())
        # of rows alike in all keys the first in the file stays first
        found: Ids = item[np.lexsort(keys[::-1])]
        return found

    return ptr, gathered(map(ordered, by_users(data.user, ptr)), data.item.dtype)
