"""The ledger: what a run, or one after the other, has spent, written down before it is spent.

One line of JSON for each entry, each with the digest of the line before it, so that a line that is
changed or removed later shows. Lines are on the disk before anything is released; a line that a
kill cut short was never followed by a release and is dropped.
"""

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import append_line
from ufgraphfr.core.versions import Schema

SCHEMA = Schema("ledger")
"""Named by the first line."""
START, NONE = "0" * 64, (0, 0)
Entry = dict[str, Any]


class BudgetSpent(InputError):
    """The ledger refuses a release."""


class Ledger:
    """The append-only record of one run, or of one device."""

    def __init__(self, path: Path | None) -> None:
        """Reads what is there.

        Args:
            path: the file; None keeps it in memory, for a run that promises nothing.

        Raises:
            InputError: a line was changed, removed or added by somebody else, or a newer release
                wrote the ledger.
        """
        self.path = path
        self.entries: list[Entry] = []
        self._last = START
        if path is not None and path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        text = path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            with path.open("r+b") as file:
                file.truncate(len(whole))
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                entry = json.loads(line)
                fits = entry["previous"] == self._last
            except (ValueError, KeyError, TypeError):
                fits = False
            if not fits:
                raise InputError(
                    f"{path} line {number} does not follow from the line before it: the record of "
                    f"what was spent has been altered, and this run can promise nothing more"
                )
            self.entries.append(entry)
            self._last = hashlib.sha256(line).hexdigest()
        if self.entries:
            SCHEMA.version_of(self.entries[0], path)

    @property
    def guarantee(self) -> Entry | None:
        """What was written before the run's first release, or None if nothing was."""
        section = self._section
        return section[0]["claim"] if section else None

    @property
    def run(self) -> str:
        """What tells this ledger from all others; empty before a guarantee."""
        if not self.entries:
            return ""
        # those of 0.2 have no name, and are told by their first line
        first = self.entries[1]["previous"] if len(self.entries) > 1 else self._last
        return str(self.entries[0].get("run", first))

    @property
    def head(self) -> Entry:
        """How many entries there are, and the digest of the last: of all before it, too."""
        return {"entries": len(self.entries), "sha256": self._last}

    def follows(self, head: Entry) -> bool:
        """Whether this record goes on from one with such a `head`, or is it."""
        digests = [*(entry["previous"] for entry in self.entries), self._last]
        return any(head == {"entries": n, "sha256": each} for n, each in enumerate(digests))

    @property
    def spends(self) -> list[Entry]:
        """One entry for each release of the run, in order."""
        return [entry["spend"] for entry in self._section if "spend" in entry]

    @property
    def last(self) -> tuple[int, int]:
        """The last round that something was spent on, and the attempt at it."""
        return max(((int(s["round"]), int(s.get("attempt", 1))) for s in self.spends), default=NONE)

    @property
    def begun(self) -> str:
        """The name of the run that was begun last; empty for the first."""
        return next((str(e["begins"]) for e in reversed(self.entries) if "begins" in e), "")

    @property
    def _section(self) -> list[Entry]:
        """The entries of the present run."""
        marks = [place for place, entry in enumerate(self.entries) if "begins" in entry]
        return self.entries[marks[-1] + 1 :] if marks else self.entries

    @property
    def last_round(self) -> int:
        """The last round that something was spent on; 0 before the first."""
        return self.last[0]

    def begin(self, run: str) -> None:
        """Begin another run, with a guarantee of its own; what was spent before stays written."""
        if self.begun != run:
            self._append(SCHEMA.write({"begins": run}))

    def declare(self, guarantee: Entry) -> None:
        """Write down the guarantee, once.

        Raises:
            InputError: another one stands there already.
        """
        if self.guarantee is None:
            self._append(SCHEMA.write({"claim": guarantee, "run": secrets.token_hex(16)}))
            return
        now = json.loads(json.dumps(guarantee))
        # a later release may say more, and nothing else
        changed = sorted(k for k in self.guarantee if now.get(k) != self.guarantee[k])
        if changed:
            raise InputError(
                f"{self.path} promises something else ({', '.join(changed)}): a promise "
                f"cannot be changed after a release; name another folder with --out"
            )

    def check(self, part: str, round_number: int, attempt: int = 1) -> None:
        """Whether one release could be paid for now.

        Args:
            part: of the guarantee.
            round_number: of the run.
            attempt: at that round; each is a release of its own.

        Raises:
            BudgetSpent: the part has no rounds left, or this round has been paid for before.
        """
        guarantee = self.guarantee
        if guarantee is None:
            raise BudgetSpent("nothing was promised, so nothing can be spent")
        allowed = guarantee["parts"].get(part, {"releases": 0})["releases"]
        if (round_number, attempt) <= self.last:
            raise BudgetSpent(f"round {round_number} has been paid for and is never released twice")
        if sum(spend["part"] == part for spend in self.spends) >= allowed:
            raise BudgetSpent(
                f"the budget of '{part}' is spent: {allowed} release(s) were promised, and there "
                f"will be no more"
            )

    def spend(self, part: str, round_number: int, attempt: int = 1, **facts: float | str) -> None:
        """Pay for one release; it may happen after this has returned.

        Raises:
            BudgetSpent: see `check`.
        """
        self.check(part, round_number, attempt)
        told = {"attempt": attempt, **facts} if attempt > 1 else facts
        self._append({"spend": {"part": part, "round": round_number, **told}})

    def _append(self, entry: Entry) -> None:
        entry = {**entry, "previous": self._last}
        line = json.dumps(entry, sort_keys=True).encode()
        if self.path is not None:
            append_line(self.path, line + b"\n")
        self.entries.append(json.loads(line))
        self._last = hashlib.sha256(line).hexdigest()
