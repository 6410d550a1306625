"""A small split with every part of the protocol in it."""

import numpy as np
import pytest
import torch

from ufgraphfr.data.dataset import Card, Dataset
from ufgraphfr.data.shards import Shard, build
from ufgraphfr.data.split import Split, leave_one_out

USERS, ITEMS = 50, 200


@pytest.fixture(scope="session")
def split() -> Split:
    """50 users with 21 to 40 of 200 items each, in file order; ten of the users are cold."""
    rng = np.random.default_rng(0)
    histories = [rng.permutation(ITEMS)[: rng.integers(21, 41)] for _ in range(USERS)]
    data = Dataset(
        card=Card(name="made", title="Made up"),
        user=np.repeat(np.arange(USERS), [len(own) for own in histories]),
        item=np.concatenate(histories),
        timestamp=None,
        users=tuple(map(str, range(USERS))),
        items=tuple(map(str, range(ITEMS))),
        profiles=({},) * USERS,
        texts=("",) * USERS,
        titles=tuple(map(str, range(ITEMS))),
    )
    return leave_one_out(data, cold_users=0.2)


@pytest.fixture(scope="session")
def shard(split: Split) -> Shard:
    """All users; the text of user u is the number u."""
    return build(split, torch.arange(float(USERS))[:, None])
