"""A shard's users and interactions: how rows are added to the database, and read from it."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.deploy.agent.times import check_alike, in_microseconds

UNTIMED = -(2**62)
"""Stands for a row without a time while rows are read."""
ROWS_AT_ONCE = 2**14


@dataclass(frozen=True)
class Rows:
    """The interactions of a shard, in the order in which they came.

    Attributes:
        clients: int64 ``[users]``, their client ids, ascending.
        names: of the users, in the same order.
        texts: float32 ``[users, width]``, their embedded profiles.
        user, item: int64 ``[rows]``; ``user`` is a position in ``clients``.
        time: int64 ``[rows]``, or None if a row has none.
    """

    clients: NDArray[np.int64]
    names: tuple[str, ...]
    texts: NDArray[np.float32]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    time: NDArray[np.int64] | None


def add_interactions(database: sqlite3.Connection, rows: Rows, clients: Sequence[int]) -> int:
    """Add interactions; of a pair that is there already the earliest counts.

    Args:
        database: of the shard.
        rows: what is added.
        clients: the client id of each of their users.

    Returns:
        How many are new.

    Raises:
        InputError: their times cannot be told from those that are here.
    """
    users = [clients[user] for user in rows.user.tolist()]
    before, latest = _count(database)
    times: list[int] | list[None] = [None] * len(users)
    if users and before:
        check_alike(latest, rows.time)
    if latest is not None:
        _to_microseconds(database)
    if rows.time is not None:
        times = in_microseconds(rows.time).tolist()
    database.executemany(
        "INSERT INTO interactions (user, item, time) VALUES (?, ?, ?) "
        "ON CONFLICT (user, item) DO UPDATE SET time = excluded.time "
        "WHERE excluded.time < time",
        zip(users, rows.item.tolist(), times, strict=True),
    )
    return _count(database)[0] - before


def read_rows(database: sqlite3.Connection, chosen: str, value: str, items: int) -> Rows:
    """Everything about some users.

    Args:
        database: of the shard.
        chosen: a condition of SQL on the number of a user and ``?1``.
        value: stands for ``?1``.
        items: rows of items from this number on are left out.
    """
    users = database.execute(
        f"SELECT number, name, vector FROM users WHERE {chosen} ORDER BY number", (value,)
    ).fetchall()
    clients = np.array([user[0] for user in users], np.int64)
    texts = [np.frombuffer(user[2], np.float32) for user in users]
    theirs = f"user IN (SELECT number FROM users WHERE {chosen})"
    known = f"{theirs} AND item < {items:d}"
    query = (
        f"SELECT user, item, ifnull(time, {UNTIMED}) FROM interactions WHERE {known} ORDER BY row"
    )
    cursor = database.execute(query, (value,))
    # rows as Python's own take ten times what arrays do
    parts = [np.array(rows, np.int64) for rows in iter(partial(cursor.fetchmany, ROWS_AT_ONCE), [])]
    user, item, time = np.concatenate([np.empty((0, 3), np.int64), *parts]).T.copy()
    names = tuple(user[1] for user in users)
    stacked = np.stack(texts) if texts else np.zeros((0, 0), np.float32)
    timed = bool((time != UNTIMED).all())
    return Rows(
        clients, names, stacked, np.searchsorted(clients, user), item, time if timed else None
    )


def _count(database: sqlite3.Connection) -> tuple[int, int | None]:
    """How many interactions there are, and the latest time."""
    count, latest = database.execute("SELECT count(*), max(time) FROM interactions").fetchone()
    return int(count), latest


def _to_microseconds(database: sqlite3.Connection) -> None:
    """Rewrite times that a release before kept as their file had them."""
    stored = database.execute("SELECT row, time FROM interactions WHERE time NOT NULL")
    places, times = np.array(stored.fetchall(), np.int64).T
    unified = in_microseconds(times)
    if (unified != times).any():
        pairs = zip(unified.tolist(), places.tolist(), strict=True)
        database.executemany("UPDATE interactions SET time = ? WHERE row = ?", pairs)
