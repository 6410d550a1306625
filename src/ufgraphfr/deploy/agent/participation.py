"""How often each user's data went into each part of the model: what a guarantee's claim rests on.

A count is raised in the transaction that keeps the reply, is never lowered, and is of one
agreement, whatever a server calls its runs. Of a forgotten user nothing is left but a number: the
highest count of anybody forgotten, at which users begin who come later, since any of them may be
the forgotten one under a new name.
"""

import sqlite3

import torch
from torch import Tensor

from ufgraphfr.deploy.agreement.guarantee import ShardMechanism

TABLE = """
CREATE TABLE IF NOT EXISTS participations (
    agreement TEXT NOT NULL, part TEXT NOT NULL, user INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (agreement, part, user));
"""
FORGOTTEN = -1
"""Stands for everybody who was forgotten."""


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
        clients = asked.tolist()
        below = [self.count(agreement, part, client) < most for client in clients]
        self._db.executemany(
            "INSERT INTO participations VALUES (?, ?, ?, 1) "
            "ON CONFLICT DO UPDATE SET count = count + 1",
            [(agreement, part, each) for each, may in zip(clients, below, strict=True) if may],
        )
        return torch.tensor(below, dtype=torch.bool)

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
