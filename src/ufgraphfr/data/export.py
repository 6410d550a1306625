"""A data set's users divided among nodes, as tables that the ``table`` source reads.

For try-outs: the nodes together hold what the simulation of the same experiment holds, in the same
order, so both train on the same data.
"""

from pathlib import Path

import numpy as np
import polars as pl

from ufgraphfr.data.dataset import Dataset

INTERACTIONS, USERS = "interactions.parquet", "users.parquet"


def export_users(dataset: Dataset, first: int, count: int, folder: Path) -> None:
    """Write the interactions and sentences of some users.

    Args:
        dataset: where from.
        first: number of the first user.
        count: how many users.
        folder: where to; ``interactions.parquet`` and ``users.parquet``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.flatnonzero((dataset.user >= first) & (dataset.user < first + count))
    columns = {
        "user": [dataset.users[user] for user in dataset.user[rows].tolist()],
        "item": [dataset.items[item] for item in dataset.item[rows].tolist()],
    }
    if dataset.timestamp is not None:
        columns["timestamp"] = dataset.timestamp[rows].tolist()
    pl.DataFrame(columns).write_parquet(folder / INTERACTIONS)
    own = range(first, first + count)
    told = {
        "user": [dataset.users[user] for user in own],
        "text": [dataset.texts[user] for user in own],
    }
    pl.DataFrame(told).write_parquet(folder / USERS)
