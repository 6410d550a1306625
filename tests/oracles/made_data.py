"""Made-up interactions: some users with some of the items each, in file order."""

import numpy as np

from ufgraphfr.data.interactions import Interactions


def made_data(users: int, items: int, least: int) -> Interactions:
    """Users with ``least`` to 40 items each."""
    rng = np.random.default_rng(0)
    histories = [rng.permutation(items)[: rng.integers(least, 41)] for _ in range(users)]
    return Interactions(
        user=np.repeat(np.arange(users), [len(own) for own in histories]),
        item=np.concatenate(histories),
        timestamp=None,
        n_users=users,
        n_items=items,
    )
