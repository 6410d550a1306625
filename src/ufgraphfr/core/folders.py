"""The folder that keeps what can be made or fetched again, outside any repository."""

import errno
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

VARIABLE = "UFGRAPHFR_CACHE"
"""Environment variable that names another cache folder."""


def cache_folder(*parts: str) -> Path:
    """A folder in the cache; it need not exist yet."""
    chosen = os.environ.get(VARIABLE)
    root = Path(chosen).expanduser() if chosen else user_cache_path("ufgraphfr", appauthor=False)
    return root.joinpath(*parts)


def write_atomically(
    path: Path,
    data: bytes | Iterable[bytes | memoryview],
    sync: bool = False,
    public: bool = False,
) -> None:
    """Write a file that readers see whole or not at all, even if this process is killed.

    With ``sync`` it is on the disk when this returns. What is long may come in pieces. What is
    ``public`` all accounts of the machine may read, everything else its owner alone.
    """
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            give_to_owner(handle, path.parent)
            if public:
                os.fchmod(file.fileno(), 0o644)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing; see `give_to_owner`."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    give_to_owner(path, path.parent)


def give_to_owner(what: int | Path, folder: Path) -> None:
    """Of what root makes in a folder, its owner becomes the owner, who could not read it else.

    Services have accounts of their own, and an operator who is root writes for them.

    Args:
        what: an open file, or a path.
        folder: that it is in.
    """
    if os.geteuid() == 0:
        owner = folder.stat()
        # file systems of other hosts may refuse it to their root
        with suppress(OSError):
            os.chown(what, owner.st_uid, owner.st_gid)


def append_line(path: Path, line: bytes) -> None:
    """Append a line; file and folder are on the disk when this returns.

    Raises:
        OSError: there is no room; nothing is left of the line.
    """
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        before = os.fstat(handle).st_size
        if os.write(handle, line) < len(line):
            os.ftruncate(handle, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(handle)
    finally:
        os.close(handle)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
