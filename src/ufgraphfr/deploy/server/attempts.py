"""Which attempt at a round of secure sums is asked for, and of which nodes: kept over kills.

Nodes that have answered an attempt answer the same one alone, or a later one of fewer nodes. So it
is on the disk before anybody is asked.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.versions import Schema

SCHEMA = Schema("attempts")


@dataclass(frozen=True)
class Attempt:
    """One attempt at a round.

    Attributes:
        run: its name.
        round: from 1.
        number: from 1.
        nodes: that are asked.
        away: nodes that were lost and have not come back.
    """

    run: str
    round: int
    number: int
    nodes: tuple[str, ...]
    away: tuple[str, ...]


class Attempts:
    """The last attempt of one run, in a file."""

    def __init__(self, path: Path, run: str) -> None:
        """Reads what is there of this run.

        Raises:
            InputError: a newer release wrote it.
        """
        self._path, self._run = path, run
        self._last = Attempt(run, 0, 0, (), ())
        if path.exists():
            found = SCHEMA.read(json.loads(path.read_text(encoding="utf-8")), path)
            if found["run"] == run:
                nodes, away = tuple(found["nodes"]), tuple(found["away"])
                self._last = Attempt(run, int(found["round"]), int(found["number"]), nodes, away)

    @property
    def away(self) -> frozenset[str]:
        """Nodes that were lost and have not come back."""
        return frozenset(self._last.away)

    def of(self, round_number: int) -> Attempt | None:
        """The last attempt at a round; None before the first."""
        return self._last if self._last.round == round_number else None

    def begin(
        self, round_number: int, number: int, nodes: Collection[str], away: Collection[str]
    ) -> None:
        """Keep an attempt before anybody is asked."""
        self._last = Attempt(
            self._run, round_number, number, tuple(sorted(nodes)), tuple(sorted(away))
        )
        write_atomically(self._path, json.dumps(SCHEMA.write(vars(self._last))).encode(), sync=True)
