"""A small split with every part of the protocol in it."""

import pytest
import torch
from made_data import made_data

from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.split import Split, leave_one_out

USERS, ITEMS = 50, 200


@pytest.fixture(scope="session")
def split() -> Split:
    """50 users with 21 to 40 of 200 items each, in file order; ten of the users are cold."""
    return leave_one_out(made_data(USERS, ITEMS, 21), cold_users=0.2)


@pytest.fixture(scope="session")
def batch(split: Split) -> ClientBatch:
    """All users; the text of user u is the number u."""
    return build(split, torch.arange(float(USERS))[:, None])
