"""A shard's database, SQLite: interactions, profiles, private weights, and the outbox.

Private weights are kept as of each round, and replies until the server has settled the round (it
has a checkpoint of it). So a round that is asked for again after a crash gets the same reply, and
nobody trains twice.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.messages import Private
from ufgraphfr.core.versions import Schema
from ufgraphfr.data.interactions import MIN_INTERACTIONS
from ufgraphfr.deploy.agent.answers import Answers
from ufgraphfr.deploy.agent.interactions import Rows, add_interactions, read_rows
from ufgraphfr.deploy.agent.participation import Participations

SCHEMA = Schema("shard")
"""Its version is the file's ``user_version``; 0 was written before it was set, and is 1."""

_TABLES = """
CREATE TABLE IF NOT EXISTS users (
    number INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, vector BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS interactions (
    row INTEGER PRIMARY KEY, user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    item INTEGER NOT NULL, time INTEGER, UNIQUE (user, item));
CREATE TABLE IF NOT EXISTS private (
    run TEXT NOT NULL, user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    round INTEGER NOT NULL, weights BLOB NOT NULL, PRIMARY KEY (run, user, round));
CREATE TABLE IF NOT EXISTS outbox (
    run TEXT NOT NULL, round INTEGER NOT NULL, kind TEXT NOT NULL, digest TEXT NOT NULL,
    reply BLOB NOT NULL, PRIMARY KEY (run, round, kind));
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""

_READY = (
    "number IN (SELECT user FROM interactions WHERE item < {} GROUP BY user "
    f"HAVING count(*) >= {MIN_INTERACTIONS})"
)
ANY = 2**62
"""More items than any catalogue has."""

_IN_RUN = """ AND (number IN (SELECT user FROM run_users WHERE run = ?1)
    OR NOT EXISTS (SELECT 1 FROM run_users WHERE run = ?1))"""

_SUPERSEDED = """
DELETE FROM private WHERE run = ?1
    AND round < (SELECT max(p.round) FROM private p
        WHERE p.run = ?1 AND p.user = private.user AND p.round <= ?2)
    AND round != ifnull((SELECT max(p.round) FROM private p
        WHERE p.run = ?1 AND p.user = private.user AND p.round <= ?3), -1)
"""


def settled_in(run: str) -> str:
    """Name of the counter of a run's settled rounds."""
    return f"settled {run}"


def version_of(path: Path) -> int:
    """`ShardStore.version` of a file, for whoever only wants to know whether it changed."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        row = database.execute("SELECT value FROM counters WHERE name = 'version'").fetchone()
    return int(row[0]) if row else 0


class ShardStore:
    """The file of one shard; several processes may open it."""

    def __init__(self, path: Path) -> None:
        """Opens the file, and makes it if it is not there; only its owner may read it.

        Raises:
            InputError: a newer release wrote it.
        """
        path.touch(mode=0o600, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        SCHEMA.check(version, path)
        self._db.execute("PRAGMA journal_mode = WAL")
        # a reply that was sent must be there after a power cut too
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        # what is deleted is overwritten: nothing of a forgotten person stays in free pages
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.executescript(_TABLES)
        self.participations, self.answers = Participations(self._db), Answers(self._db)
        if version != SCHEMA.version:
            self._db.execute(f"PRAGMA user_version = {SCHEMA.version}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is written inside, or nothing of it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @property
    def version(self) -> int:
        """Grows with every change to the users' data."""
        return self.counter("version")

    def counter(self, name: str) -> int:
        """A number that only grows; 0 before its first change."""
        row = self._db.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def raise_counter(self, name: str, value: int) -> None:
        """Set a counter, unless it is higher already."""
        self._db.execute(
            "INSERT INTO counters VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
            (name, value),
        )

    def names(self) -> list[str]:
        """The users, by client id."""
        return [row[0] for row in self._db.execute("SELECT name FROM users ORDER BY number")]

    def numbers(self) -> list[int]:
        """The users' client ids, ascending."""
        return [row[0] for row in self._db.execute("SELECT number FROM users ORDER BY number")]

    def waiting(self) -> int:
        """How many users have too few interactions to take part yet."""
        (users,) = self._db.execute(
            f"SELECT count(*) FROM users WHERE NOT {_READY.format(ANY)}"
        ).fetchone()
        return int(users)

    def add(
        self,
        rows: Rows,
        first: int,
        capacity: int,
        check: Callable[[], object] = lambda: None,
    ) -> tuple[int, int]:
        """Add users and their interactions; of a pair that is there already the earliest counts.

        Args:
            rows: ``clients`` is not used: new users get the next free ids.
            first: the first id this shard may give out.
            capacity: how many it may give out.
            check: looks at the result; nothing is added if it raises.

        Returns:
            How many users and how many interactions are new.

        Raises:
            InputError: more users than ids, or times unlike those that are here.
        """
        with self.transaction():
            ids = dict(self._db.execute("SELECT name, number FROM users"))
            new = [user for user, name in enumerate(rows.names) if name not in ids]
            # an id is never given out twice, not even after its user was forgotten
            free = max(first, self.counter("next"))
            if free + len(new) > first + capacity:
                raise InputError(
                    f"{len(new):,} new users, but the agreement leaves this node "
                    f"{first + capacity - free:,} client ids: agree on a larger node"
                )
            for client, user in enumerate(new, start=free):
                ids[rows.names[user]] = client
                record = (client, rows.names[user], rows.texts[user].tobytes())
                self._db.execute("INSERT INTO users VALUES (?, ?, ?)", record)
                self.participations.begin(client)
            self.raise_counter("next", free + len(new))
            added = add_interactions(self._db, rows, [ids[name] for name in rows.names])
            self.raise_counter("version", self.version + 1)
            check()
        return len(new), added

    def describe(self, vectors: Mapping[str, NDArray[np.float32]]) -> int:
        """Replace the profiles of users who are here; of others nothing is kept.

        Returns:
            How many changed.
        """
        changed = 0
        with self.transaction():
            for name, vector in vectors.items():
                changed += self._db.execute(
                    "UPDATE users SET vector = ?2 WHERE name = ?1 AND vector != ?2",
                    (name, vector.tobytes()),
                ).rowcount
            self.raise_counter("version", self.version + min(changed, 1))
        return changed

    def rows(self, waiting: bool = False, run: str = "", items: int = ANY) -> Rows:
        """Everything about users, with ``waiting`` about all.

        Otherwise about those who have enough interactions to take part and who are in the run, if
        it is known who is; see `Answers.enrol`. Rows of items from ``items`` on are left out: they
        are of a catalogue that has grown since.
        """
        chosen = "?1 IS NOT NULL" if waiting else _READY.format(items) + _IN_RUN
        return read_rows(self._db, chosen, run, items)

    def forget(self, name: str) -> int:
        """Delete a user with everything that belongs to it.

        Returns:
            How many interactions are gone.

        Raises:
            InputError: no such user.
        """
        with self.transaction():
            row = self._db.execute("SELECT number FROM users WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise InputError("this shard holds no such user: nothing was deleted")
            (deleted,) = self._db.execute(
                "SELECT count(*) FROM interactions WHERE user = ?", row
            ).fetchone()
            self._db.execute("DELETE FROM users WHERE number = ?", row)
            self.participations.forget(row[0])
            self.answers.forget()
            self.raise_counter("version", self.version + 1)
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(deleted)

    def weights(self, run: str, before: int, clients: Tensor) -> dict[int, Private]:
        """Private weights as of the last round below ``before``, of clients that have any.

        Who was not trained in the run has those that it goes on from.
        """
        weights, left = dict[int, Private](), clients.tolist()
        while left:
            for client in left:
                row = self._db.execute(
                    "SELECT weights FROM private WHERE run = ? AND user = ? AND round < ? "
                    "ORDER BY round DESC LIMIT 1",
                    (run, client, before),
                ).fetchone()
                if row is not None:
                    weights[client] = load(row[0])
            parent = self.answers.parent(run)
            if parent is None:
                break
            run, before = parent[0], parent[1] + 1
            left = [client for client in left if client not in weights]
        return weights

    def keep_weights(self, run: str, round_number: int, clients: Tensor, weights: Private) -> None:
        """Keep private weights, each ``[clients, ...]``, as of a round."""
        for position, client in enumerate(clients.tolist() if weights else ()):
            own = save({name: value[position].contiguous() for name, value in weights.items()})
            record = (run, client, round_number, own)
            self._db.execute("INSERT OR REPLACE INTO private VALUES (?, ?, ?, ?)", record)

    def answered(self, run: str, round_number: int, kind: str) -> tuple[str, bytes] | None:
        """Digest of a request and the reply that was given, if there is one."""
        row = self._db.execute(
            "SELECT digest, reply FROM outbox WHERE run = ? AND round = ? AND kind = ?",
            (run, round_number, kind),
        ).fetchone()
        return None if row is None else (str(row[0]), bytes(row[1]))

    def keep_reply(self, run: str, round_number: int, kind: str, digest: str, reply: bytes) -> None:
        """Keep a reply before it is sent."""
        record = (run, round_number, kind, digest, reply)
        self._db.execute("INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?)", record)

    def settle(self, run: str, settled: int, best: int) -> None:
        """Drop what only a checkpoint older than ``settled`` would need, but for the best round."""
        with self.transaction():
            self._db.execute("DELETE FROM outbox WHERE run = ? AND round <= ?", (run, settled))
            self._db.execute(_SUPERSEDED, (run, settled, best))
            self.raise_counter(settled_in(run), settled)
