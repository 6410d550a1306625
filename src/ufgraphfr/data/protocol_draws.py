"""What the protocol draws by a fixed seed: who and what is kept out, and sampled candidates."""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ufgraphfr.core.arrays.sparse_rows import pointers, ranges
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.mapped import blocks
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.negatives import draw_outside

PROTOCOL_SEED = 20250114
"""Fixed: every run of every algorithm ranks against the same sampled candidates."""

SAMPLED = 99

Ids: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]


def drawn_share(eligible: Ids, ids: Ids, share: float, stream: int, fold: int = 0) -> Ids:
    """A share of these users or items, ascending: the ``fold``-th of the disjoint ones.

    ``ids``, of all of them, key the draws.
    """
    key = Key(PROTOCOL_SEED, round=stream, purpose=Purpose.SPLIT)
    draws = key.words(torch.from_numpy(ids[eligible]), 0, 1)
    order = np.argsort(draws[:, 0].numpy(), kind="stable")
    many = round(share * len(eligible))
    return np.sort(eligible[order[fold * many : (fold + 1) * many]])


def sampled_users(eligible: Ids, ids: Ids, most: int) -> Mask:
    """A sample of the eligible users, bool ``[users]``: the larger one holds the smaller.

    ``ids``, of all of them, key the draws.
    """
    key = Key(PROTOCOL_SEED, round=2, purpose=Purpose.SPLIT)
    draws = key.words(torch.from_numpy(ids[eligible]), 0, 1)[:, 0].numpy()
    chosen = np.zeros(len(ids), dtype=bool)
    chosen[eligible[np.argsort(draws, kind="stable")[:most]]] = True
    return chosen


def sampled_candidates(data: Interactions, *asked: tuple[Ids, Ids]) -> Iterator[Ids]:
    """99 distinct items each user that is asked never touched; -1 for those that are not there.

    Yields int64 ``[asked, 99]`` for each of the users that are asked, given with the ids that key
    their draws.
    """
    anybody, parts = np.zeros(data.n_users, bool), []
    for users, _ in asked:
        anybody[users] = True
    for some in blocks(data.user):
        own = anybody[data.user[some]]
        parts.append((data.user[some][own], data.item[some][own]))
    user, item = (np.concatenate(each) for each in zip(*parts, strict=True))
    touched = item[np.lexsort((item, user))].astype(np.int64)
    ptr = np.concatenate(([0], np.cumsum(np.bincount(user, minlength=data.n_users))))
    for stream, (users, ids) in enumerate(asked, start=1):
        start, length = torch.from_numpy(ptr[users]), torch.from_numpy(np.diff(ptr)[users])
        yield draw_outside(
            Key(PROTOCOL_SEED, round=stream, purpose=Purpose.CANDIDATES),
            torch.from_numpy(ids),
            SAMPLED,
            data.n_items,
            pointers(length),
            torch.from_numpy(touched)[ranges(start, length)],
            distinct=True,
        ).numpy()
