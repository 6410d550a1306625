"""Where workers other than the first keep a run's files: a folder that nobody reads.

All workers run the same program, which reads what it wrote. So each has a folder of its own, with
what the first one's held at the start, and all but the first one's are thrown away.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ufgraphfr.core.workers import Workers


@contextmanager
def folder_of(workers: Workers, out: Path) -> Iterator[Path]:
    """The run folder of this worker; of the first, and of one that is alone, it is ``out``."""
    if workers.size == 1:
        yield out
        return
    held = workers.once(lambda: _files(out))
    if workers.is_first:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="ufgraphfr-worker-") as own:
        copy = Path(own) / out.name
        for name, data in held.items():
            path = copy / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        yield copy


def _files(folder: Path) -> dict[str, bytes]:
    """All files, by their names seen from the folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
