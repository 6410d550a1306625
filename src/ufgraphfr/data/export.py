"""A data set's users divided among nodes, as tables that the ``table`` source reads.

To try a deployment out: the nodes together hold what the simulation of the same experiment holds,
in the same order, so both train on the same data.
"""

from pathlib import Path

import numpy as np
import polars as pl

from ufgraphfr.data.dataset import Dataset

INTERACTIONS, USERS = "interactions.parquet", "users.parquet"


def export_users(dataset: Dataset, first: int, count: int, folder: Path) -> None:
    """Write the interactions and sentences of ``count`` users, from number ``first`` on."""
    folder.mkdir(parents=True, exist_ok=True)
    own = dataset.interactions
    rows = np.flatnonzero((own.user >= first) & (own.user < first + count))
    columns = {
        "user": [dataset.users.names[user] for user in own.user[rows].tolist()],
        "item": [dataset.catalogue.items[item] for item in own.item[rows].tolist()],
    }
    if own.timestamp is not None:
        columns["timestamp"] = own.timestamp[rows].tolist()
    pl.DataFrame(columns).write_parquet(folder / INTERACTIONS)
    chosen = slice(first, first + count)
    users = {"user": dataset.users.names[chosen], "text": dataset.users.texts[chosen]}
    pl.DataFrame(users).write_parquet(folder / USERS)
