"""How often each user's data went into each part of the model: what a guarantee's claim rests on.

A count is raised in the transaction that keeps the reply, is never lowered, and is of one
agreement, whatever a server calls its runs. Of a forgotten user nothing is left but a number: the
highest count of anybody forgotten, at which users begin who come later, since any of them may be
the forgotten one under a new name.

What was spent adds up over agreements: beside the counts stands the noise of each part, so that the
database knows what all agreements under which it answered come to for one person.
"""

import math
import sqlite3
from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.deploy.agreement.guarantee import ShardMechanism
from ufgraphfr.privacy.accounted.accounting import Gaussian, spent

TABLE = """
CREATE TABLE IF NOT EXISTS participations (
    agreement TEXT NOT NULL, part TEXT NOT NULL, user INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (agreement, part, user));
CREATE TABLE IF NOT EXISTS part_noise (
    agreement TEXT NOT NULL, part TEXT NOT NULL, noise REAL NOT NULL, delta REAL NOT NULL,
    PRIMARY KEY (agreement, part));
"""
FORGOTTEN = -1
"""Stands for everybody who was forgotten."""


@dataclass(frozen=True)
class SpentByOne:
    """What all agreements come to for the user whose data went into most.

    Attributes:
        agreements: how many are in it.
        epsilon: of all releases that hold this user's data, at the smallest agreed
        delta: the probability of worse.
        unknown: agreements of a release that did not keep their noise, which are not in it.
    """

    agreements: int
    epsilon: float
    delta: float
    unknown: int

    def __str__(self) -> str:
        """One line."""
        if not self.agreements:
            return f"unknown: {self.unknown} agreements of before did not keep their noise"
        left_out = f"; {self.unknown} more of before are not in it" if self.unknown else ""
        agreements = "1 agreement" if self.agreements == 1 else f"{self.agreements} agreements"
        return (
            f"epsilon = {self.epsilon:.3g}, delta = {self.delta:.0e} for the user whose data went "
            f"into most, over {agreements}{left_out}"
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
        self, agreement: str, mechanism: ShardMechanism, number: int, asked: Tensor
    ) -> Tensor:
        """Count a round for those of the clients who may still take part in it.

        Args:
            agreement: digest of what the operator signed.
            mechanism: knows the part of the round, and what was claimed of it.
            number: the round.
            asked: int64 ``[clients]``.

        Returns:
            bool ``[clients]``, who may; nobody else's data go into the reply.

        Raises:
            BudgetSpent: the round is in no part.
        """
        part, most = mechanism.participations(number)
        self._db.execute(
            "INSERT OR IGNORE INTO part_noise VALUES (?, ?, ?, ?)",
            (agreement, part, *mechanism.noise(number)),
        )
        clients = asked.tolist()
        below = [self.count(agreement, part, client) < most for client in clients]
        self._db.executemany(
            "INSERT INTO participations VALUES (?, ?, ?, 1) "
            "ON CONFLICT DO UPDATE SET count = count + 1",
            [(agreement, part, each) for each, may in zip(clients, below, strict=True) if may],
        )
        return torch.tensor(below, dtype=torch.bool)

    def spent(self) -> SpentByOne | None:
        """What was spent on one user's data under all agreements; None before the first release."""
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
