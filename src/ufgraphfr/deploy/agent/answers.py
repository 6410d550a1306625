"""What a shard has answered, so that it answers nothing else: one run, and each evaluation once.

Sums without noise protect nobody from whoever may ask for two of them at will: the difference of
two cohorts, or of two models, is about one person. So the run's name is pinned by its first
message, and a round is evaluated on one model.
"""

import sqlite3
from dataclasses import dataclass, replace

from ufgraphfr.data.split import HeldOut
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.wire.message import Envelope
from ufgraphfr.deploy.wire.release import Release
from ufgraphfr.ops.fusion import MAX_STEPS

TABLES = """
CREATE TABLE IF NOT EXISTS runs (agreement TEXT PRIMARY KEY, run TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS lineage (
    run TEXT PRIMARY KEY, parent TEXT NOT NULL, round INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS run_users (
    run TEXT NOT NULL, user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (run, user));
CREATE TABLE IF NOT EXISTS evaluations (
    run TEXT NOT NULL, part TEXT NOT NULL, round INTEGER NOT NULL, digest TEXT NOT NULL,
    model TEXT NOT NULL, reply BLOB, PRIMARY KEY (run, part, round, digest));
"""
MAX_FIT_ANSWERS = MAX_STEPS + 2
"""Answers to one fit of a blend: the sums of each step and at zero, and the choices' metrics."""


class Refused(ValueError):
    """A request outside the agreement; the message goes to the agent's own log alone."""


class Restored(Refused):
    """The shard's folder is older than what left it: what it released is not released again."""


class Barred(Refused):
    """A request of a run that a restored shard sits out."""


class Unsigned(Refused):
    """A request under an amendment that the operator of this node has not signed off."""


@dataclass(frozen=True)
class Evaluation:
    """A request to evaluate, as far as it decides whether it may be answered.

    Attributes:
        run, part, round: what is evaluated.
        digest: of the whole request.
        model: of what is the same in all messages about one model.
        most: messages about it that are answered.
    """

    run: str
    part: HeldOut
    round: int
    digest: str
    model: str
    most: int

    @staticmethod
    def of(request: Envelope, agreement: Agreement, fitted: bool) -> "Evaluation":
        """Check a request against what was agreed on.

        Args:
            request: it.
            agreement: says which rounds are evaluated.
            fitted: whether a blend is fitted on validation.

        Raises:
            Refused: no such evaluation was agreed on.
        """
        if agreement.metrics == "none":
            raise Refused("the agreement lets no metrics leave")
        part = request.facts.get("part")
        if agreement.metrics == "noised" and part != "test":
            raise Refused("the agreement lets the test's metrics leave, and no others")
        if part not in ("validation", "test"):
            raise Refused("no such part of the data")
        every, last = agreement.experiment.evaluation.every, agreement.experiment.federation.rounds
        agreed = request.round % every == 0 or request.round == last or part == "test"
        if not (1 <= request.round <= last and agreed):
            raise Refused(f"round {request.round} is not among those that are evaluated")
        plain = replace(request, parts=request.parts[:2])
        most = MAX_FIT_ANSWERS if fitted and part == "validation" else 1
        return Evaluation(request.run, part, request.round, request.digest, plain.digest, most)


class Answers:
    """The records of one shard."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Makes the tables, if they are not there."""
        self._db = db
        db.executescript(TABLES)

    def pin(self, agreement: str, run: str, continued: Release | None = None) -> None:
        """An agreement has one run at a time: that of its first message, then the next one.

        Args:
            agreement: its digest.
            run: which is asked for.
            continued: a release that is here and that the run says it goes on from.

        Raises:
            Refused: another one than the present and, with ``continued``, the next.
        """
        self._db.execute("INSERT OR IGNORE INTO runs VALUES (?, ?)", (agreement, run))
        query = "SELECT run FROM runs WHERE agreement = ?"
        (pinned,) = self._db.execute(query, (agreement,)).fetchone()
        if pinned == run:
            return
        if continued is None or (continued.run, continued.next_run) != (pinned, run):
            raise Refused("another run than the one of this agreement: a new run needs a new one")
        line = (run, continued.run, continued.round)
        self._db.execute("INSERT OR REPLACE INTO lineage VALUES (?, ?, ?)", line)
        self._db.execute("UPDATE runs SET run = ? WHERE agreement = ?", (run, agreement))

    def unpin(self, agreement: str) -> None:
        """The next message pins a run as the first one did."""
        self._db.execute("DELETE FROM runs WHERE agreement = ?", (agreement,))

    def parent(self, run: str) -> tuple[str, int] | None:
        """The run and the round that a run goes on from; None for the first."""
        query = "SELECT parent, round FROM lineage WHERE run = ?"
        found: tuple[str, int] | None = self._db.execute(query, (run,)).fetchone()
        return found

    def enrol(self, run: str, clients: list[int]) -> None:
        """Fix who is in a run, once: who comes later is in the next."""
        if not self.enrolled(run):
            pairs = [(run, client) for client in clients]
            self._db.executemany("INSERT INTO run_users VALUES (?, ?)", pairs)

    def enrolled(self, run: str) -> bool:
        """Whether it is fixed who is in a run."""
        return bool(self._db.execute("SELECT 1 FROM run_users WHERE run = ?", (run,)).fetchone())

    def pinned(self, agreement: str) -> str:
        """The present run of an agreement; empty before the first message."""
        query = "SELECT run FROM runs WHERE agreement = ?"
        row = self._db.execute(query, (agreement,)).fetchone()
        return str(row[0]) if row else ""

    def last_trained(self, run: str) -> int:
        """The last round that a reply is kept for; 0 where there is none."""
        query = "SELECT max(round) FROM outbox WHERE run = ? AND kind = 'train'"
        return int(self._db.execute(query, (run,)).fetchone()[0] or 0)

    def evaluated(self, asked: Evaluation) -> bytes | None:
        """The reply that a request got before, unless somebody was forgotten since.

        Raises:
            Refused: it got none, and may get none.
        """
        where = "run = ? AND part = ?"
        given = self._db.execute(
            f"SELECT round, digest, model, reply FROM evaluations WHERE {where}",
            (asked.run, asked.part),
        ).fetchall()
        if asked.part == "validation":
            given = [each for each in given if each[0] == asked.round]
        for _, digest, _, reply in given:
            if digest == asked.digest:
                return None if reply is None else bytes(reply)
        if any(each[0] != asked.round or each[2] != asked.model for each in given):
            raise Refused(f"the {asked.part} was answered for another model")
        if len(given) >= asked.most:
            raise Refused(f"the {asked.part} of round {asked.round} was answered")
        return None

    def keep(self, asked: Evaluation, reply: bytes) -> None:
        """Keep a reply before it is sent."""
        record = (asked.run, asked.part, asked.round, asked.digest, asked.model, reply)
        self._db.execute("INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?, ?, ?, ?)", record)

    def forget(self) -> None:
        """Delete what was replied, for it holds a forgotten person's part; not that it was."""
        self._db.execute("UPDATE evaluations SET reply = NULL")
        self._db.execute("UPDATE outbox SET reply = x''")
