"""The registry: what all runs on one machine have spent on the same people's data.

Each run's ledger knows that run alone, and a second one on the same data, with another seed or
other settings, spends again. So a line for each payment goes into one file in the cache, beside the
data, after the run's own ledger and before the release. The last line of a run counts. It also says
how long the run's ledger is: one that is shorter was put back, and would pay for a round again.

Data are the same if their interactions are, or if they were read from the same place: a file to
which rows were added still is about the same people.
"""

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import cache_folder
from ufgraphfr.core.keyed import key_at, keyed
from ufgraphfr.core.versions import Schema
from ufgraphfr.privacy.accounted import accounting
from ufgraphfr.privacy.accounted.accounting import Gaussian
from ufgraphfr.privacy.accounted.guarantee import events
from ufgraphfr.privacy.accounted.ledger import Ledger

SCHEMA = Schema("registry")

Events = list[tuple[Gaussian, float]]


@dataclass(frozen=True)
class Spent:
    """What runs have spent together.

    Attributes:
        runs: how many.
        epsilon: of all their releases, with
        delta: the probability of worse.
    """

    runs: int
    epsilon: float
    delta: float

    def __str__(self) -> str:
        """One line."""
        runs = "this run" if self.runs == 1 else f"{self.runs} runs"
        return (
            f"epsilon = {self.epsilon:.3g}, delta = {self.delta:.0e} for the same people's data in "
            f"{runs} on this machine"
        )


class Registry:
    """The file, as far as it is about some data."""

    def __init__(self, data: Iterable[str], folder: Path | None = None) -> None:
        """Names the file; it need not be there.

        Args:
            data: what the data are known by, any of it: a digest, a place.
            folder: of the file and its key; by default one in the cache.
        """
        folder = folder or cache_folder("privacy")
        self._path, self._key = folder / "registry.jsonl", folder / "key"
        self._data = tuple(data)

    def note(self, ledger: Ledger) -> None:
        """Write down that a run's ledger has grown.

        Raises:
            InputError: it cannot be written.
        """
        guarantee = ledger.guarantee
        if guarantee is None or guarantee["epsilon"] is None:
            return
        done = Counter(spend["part"] for spend in ledger.spends)
        spent = [[part.participations, part.rate, z] for part, z in events(guarantee, done)]
        try:
            with self._open() as file:
                key = key_at(self._key)
                names = [keyed(key, each) for each in self._data]
                facts = {"run": ledger.run, "data": names, "spent": spent} | ledger.head
                file.write((json.dumps(SCHEMA.write(facts)) + "\n").encode())
        except OSError as error:
            raise InputError(
                f"{self._path} cannot be written ({error.strerror}), and without it nobody knows "
                f"what was spent on these data: make room, or name another cache with "
                f"UFGRAPHFR_CACHE"
            ) from None

    def check(self, ledger: Ledger) -> None:
        """A run's ledger is as long as it was.

        Raises:
            InputError: it is shorter: it was put back to what it was before a payment.
        """
        known = self._lines().get(ledger.run)
        if known is not None and known["entries"] > len(ledger.entries):
            raise InputError(
                f"{ledger.path} has {len(ledger.entries)} lines, but {known['entries']} were "
                f"written: an older copy of the folder was put back, and to go on would release "
                f"again what is paid for once; name another folder with --out, which pays anew"
            )

    def together(self, ledger: Ledger) -> Spent | None:
        """What all runs on these data have spent with all that a run has promised.

        None where nothing is claimed.
        """
        guarantee = ledger.guarantee
        if guarantee is None or guarantee["epsilon"] is None:
            return None
        others = [own for run, own in self._same(ledger.run) if run != ledger.run]
        found = [*events(guarantee), *(event for own in others for event in own)]
        gaussians, noise = zip(*found, strict=True)
        epsilon = accounting.spent(gaussians, noise, guarantee["delta"])
        return Spent(len(others) + 1, epsilon, guarantee["delta"])

    def _same(self, run: str) -> Iterator[tuple[str, Events]]:
        """Each run on the same data, and what it has spent."""
        lines = self._lines()
        key = key_at(self._key) if self._key.exists() else b""
        wanted = {keyed(key, each) for each in self._data} | set(lines.get(run, {}).get("data", ()))
        for name, line in lines.items():
            if wanted & set(line["data"]):
                yield name, [(Gaussian(times, rate), z) for times, rate, z in line["spent"]]

    def _lines(self) -> dict[str, dict[str, Any]]:
        """The last line of each run; one that a kill cut short was never followed by a release."""
        if not self._path.exists():
            return {}
        whole, _, _ = self._path.read_bytes().rpartition(b"\n")
        read = (SCHEMA.read(json.loads(line), self._path) for line in whole.splitlines())
        return {line["run"]: line for line in read}

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """The file, to add a line; it is on the disk afterwards."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if (size := file.seek(0, os.SEEK_END)) and os.pread(handle, 1, size - 1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
            yield file
            file.flush()
            os.fsync(file.fileno())
