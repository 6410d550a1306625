"""A folder into which somebody puts tables: each is imported once, and moved out of the way.

What is taken in lies in ``done`` then, what is refused in ``refused``, with the reason beside it. A
file that still grows waits. A kill between import and move imports a table again, which adds
nothing: rows that are there are not there twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.deploy.agent.folder import ShardFolder

KINDS = (".csv", ".parquet")
DONE, REFUSED = "done", "refused"
PROFILES = "users"
"""Name of a table of profiles, without its ending, which goes with every other one and stays."""


@dataclass(frozen=True)
class Taken:
    """What became of one table."""

    path: Path
    refused: bool
    lines: list[str]


class WatchedFolder:
    """The tables of one folder, for one shard."""

    def __init__(self, shard: ShardFolder, path: Path) -> None:
        """Names both.

        Raises:
            InputError: there is no such folder.
        """
        if not path.is_dir():
            raise InputError(f"{path} is no folder: make it, and let tables be put into it")
        self._shard, self._path = shard, path
        self._seen = dict[Path, tuple[int, int]]()

    def look(self) -> Iterator[Taken]:
        """Import the tables that have not changed since the last look, by name."""
        files = sorted(p for p in self._path.iterdir() if p.is_file() and p.suffix in KINDS)
        profiles = next((p for p in files if p.stem == PROFILES), None)
        seen, self._seen = self._seen, {}
        for path in files:
            if path == profiles or path.name.startswith("."):
                continue
            about = path.stat()
            now = (about.st_size, about.st_mtime_ns)
            if seen.get(path) != now:
                self._seen[path] = now
                continue
            yield self._taken(path, profiles)

    def _taken(self, path: Path, profiles: Path | None) -> Taken:
        try:
            lines = list(self._shard.import_table(path, profiles).lines())
        except InputError as error:
            place = self._moved(path, REFUSED)
            write_atomically(place.with_name(f"{place.name}.txt"), f"{error}\n".encode())
            return Taken(place, True, [str(error)])
        return Taken(self._moved(path, DONE), False, lines)

    def _moved(self, path: Path, name: str) -> Path:
        folder = path.parent / name
        folder.mkdir(exist_ok=True)
        place, number = folder / path.name, 1
        while place.exists():
            number += 1
            place = folder / f"{path.stem}.{number}{path.suffix}"
        return path.rename(place)
