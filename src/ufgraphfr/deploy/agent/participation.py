"""How often each user's data went into each part of the model: what a guarantee rests on.

A count is raised in the transaction that keeps the reply, is never lowered, and is of one run, of
which an agreement has one after the other. Of a forgotten user nothing is left but a number: the
highest count of anybody forgotten, at which users begin who come later, since any of them may be
the forgotten one under a new name.

What was spent adds up over runs and agreements: beside the counts stands the noise of each part, so
that the database knows what everything that it answered comes to for one person.
"""

import math
import sqlite3
import time
from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.deploy.agreement.guarantee import ShardMechanism
from ufgraphfr.deploy.agreement.lifetime import Lifetime
from ufgraphfr.privacy.accounted.accounting import Gaussian, spent
from ufgraphfr.privacy.accounted.ledger import Entry

TABLE = """
CREATE TABLE IF NOT EXISTS participations (
    agreement TEXT NOT NULL, part TEXT NOT NULL, user INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (agreement, part, user));
CREATE TABLE IF NOT EXISTS part_noise (
    agreement TEXT NOT NULL, part TEXT NOT NULL, noise REAL NOT NULL, delta REAL NOT NULL,
    PRIMARY KEY (agreement, part));
CREATE TABLE IF NOT EXISTS last_releases (agreement TEXT PRIMARY KEY, time REAL NOT NULL);
"""
FORGOTTEN = -1
"""Stands for everybody who was forgotten."""


@dataclass(frozen=True)
class SpentByOne:
    """What all runs come to for the user whose data went into most.

    Attributes:
        runs: how many are in it, of all agreements.
        epsilon: of all releases that hold this user's data, at the smallest agreed
        delta: the probability of worse.
        unknown: those of a release that did not keep their noise, which are not in it.
    """

    runs: int
    epsilon: float
    delta: float
    unknown: int

    def __str__(self) -> str:
        """One line."""
        if not self.runs:
            return f"unknown: {self.unknown} agreements of before did not keep their noise"
        left_out = f"; {self.unknown} more of before are not in it" if self.unknown else ""
        runs = "1 run" if self.runs == 1 else f"{self.runs} runs"
        return (
            f"epsilon = {self.epsilon:.3g}, delta = {self.delta:.0e} for the user whose data went "
            f"into most, over {runs}{left_out}"
        )


class Participations:
    """The counts of one shard."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Makes the table, if it is not there."""
        self._db = db
        db.executescript(TABLE)

    def count(self, agreement: str, part: str, client: int) -> int:
        """Releases of a part that a client's data are in, under one agreement."""
        row = self._db.execute(
            "SELECT count FROM participations WHERE agreement = ? AND part = ? AND user = ?",
            (agreement, part, client),
        ).fetchone()
        return int(row[0]) if row else 0

    def admit(
        self,
        agreement: str,
        mechanism: ShardMechanism,
        number: int,
        asked: Tensor,
        lifetime: Lifetime | None = None,
    ) -> Tensor:
        """Count a round for those of the clients who may still take part in it.

        Args:
            agreement: what the operator signed and which run of it, see `enrolment.run_key`.
            mechanism: knows the part of the round, and what was claimed of it.
            number: the round.
            asked: int64 ``[clients]``.
            lifetime: what all runs may spend on one person.

        Returns:
            bool ``[clients]``, who may; nobody else's data go into the reply.

        Raises:
            BudgetSpent: the round is in no part.
        """
        part, most = mechanism.participations(number)
        noise, delta = mechanism.noise(number)
        self._db.execute(
            "INSERT OR IGNORE INTO part_noise VALUES (?, ?, ?, ?)", (agreement, part, noise, delta)
        )
        now, clients = time.time(), asked.tolist()
        self._db.execute(
            "INSERT INTO last_releases VALUES (?, ?) "
            "ON CONFLICT (agreement) DO UPDATE SET time = max(time, excluded.time)",
            (agreement, now),
        )
        below = [self.count(agreement, part, client) < most for client in clients]
        if lifetime is not None:
            costs = self.costs(lifetime.since(now))
            more = [lifetime.covers(costs.get(each, 0.0) + 1 / noise**2) for each in clients]
            below = [may and affords for may, affords in zip(below, more, strict=True)]
        self._db.executemany(
            "INSERT INTO participations VALUES (?, ?, ?, 1) "
            "ON CONFLICT DO UPDATE SET count = count + 1",
            [(agreement, part, each) for each, may in zip(clients, below, strict=True) if may],
        )
        return torch.tensor(below, dtype=torch.bool)

    def charge(self, agreement: str, guarantee: Entry) -> None:
        """Count for everybody, and for who comes, all that a run may have spent.

        Args:
            agreement: see `admit`.
            guarantee: of the run.
        """
        now = time.time()
        self._db.execute(
            "INSERT INTO last_releases VALUES (?, ?) "
            "ON CONFLICT (agreement) DO UPDATE SET time = max(time, excluded.time)",
            (agreement, now),
        )
        for part, facts in guarantee["parts"].items():
            self._db.execute(
                "INSERT OR IGNORE INTO part_noise VALUES (?, ?, ?, ?)",
                (agreement, part, facts["noise_multiplier"], guarantee["delta"]),
            )
            self._db.execute(
                "INSERT INTO participations SELECT ?1, ?2, number, ?3 FROM "
                "(SELECT number FROM users UNION SELECT ?4 AS number) WHERE true "
                "ON CONFLICT DO UPDATE SET count = max(count, excluded.count)",
                (agreement, part, facts["participations"], FORGOTTEN),
            )

    def costs(self, since: float) -> dict[int, float]:
        """What each person's releases come to, see `lifetime`.

        Args:
            since: a run whose last release was before this second of the epoch is not counted; one
                of a release that did not keep its time is.
        """
        rows = self._db.execute(
            "SELECT user, sum(count / (noise * noise)) FROM participations "
            "JOIN part_noise USING (agreement, part) LEFT JOIN last_releases USING (agreement) "
            "WHERE time IS NULL OR time >= ? GROUP BY user",
            (since,),
        )
        return {int(user): float(cost) for user, cost in rows}

    def spent(self) -> SpentByOne | None:
        """What was spent on one user's data in all runs; None before the first release."""
        rows = self._db.execute(
            "SELECT user, count, noise, delta, agreement FROM participations "
            "LEFT JOIN part_noise USING (agreement, part)"
        ).fetchall()
        releases, known = defaultdict[int, list[tuple[Gaussian, float]]](list), set[str]()
        deltas = [delta for *_, delta, _ in rows if delta is not None]
        for user, count, noise, _, agreement in rows:
            if noise is not None:
                releases[user].append((Gaussian(count), noise))
                known.add(agreement)
        unknown = {agreement for *_, agreement in rows} - known
        if not known:
            return SpentByOne(0, math.nan, math.nan, len(unknown)) if unknown else None
        most = max(releases.values(), key=lambda own: sum(g.participations / z**2 for g, z in own))
        gaussians, noises = zip(*most, strict=True)
        epsilon = spent(gaussians, noises, min(deltas))
        return SpentByOne(len(known), epsilon, min(deltas), len(unknown))

    def forget(self, client: int) -> None:
        """Keep of a client's counts only that somebody had as many."""
        self._db.execute(
            "INSERT INTO participations SELECT agreement, part, ?, count FROM participations "
            "WHERE user = ? ON CONFLICT DO UPDATE SET count = max(count, excluded.count)",
            (FORGOTTEN, client),
        )
        self._db.execute("DELETE FROM participations WHERE user = ?", (client,))

    def begin(self, client: int) -> None:
        """Start a new client's counts where those of the forgotten ones ended."""
        self._db.execute(
            "INSERT INTO participations SELECT agreement, part, ?, count FROM participations "
            "WHERE user = ?",
            (client, FORGOTTEN),
        )
