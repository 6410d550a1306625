"""A made-up data set: some users with some of the items each, in file order."""

import numpy as np

from ufgraphfr.data.dataset import Card, Dataset


def made_data(users: int, items: int, least: int) -> Dataset:
    """Users with ``least`` to 40 items, no profiles; items are titled by their numbers."""
    rng = np.random.default_rng(0)
    histories = [rng.permutation(items)[: rng.integers(least, 41)] for _ in range(users)]
    return Dataset(
        card=Card(name="made", title="Made up"),
        user=np.repeat(np.arange(users), [len(own) for own in histories]),
        item=np.concatenate(histories),
        timestamp=None,
        users=tuple(map(str, range(users))),
        items=tuple(map(str, range(items))),
        profiles=({},) * users,
        texts=("",) * users,
        titles=tuple(map(str, range(items))),
    )
