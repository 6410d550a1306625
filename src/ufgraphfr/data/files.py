"""A data set's files as they lie in a folder, read through ``.gz`` and ``.xz`` compression."""

import gzip
import lzma
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from zlib import error as ZlibError

from ufgraphfr.core.errors import InputError, nearest

_OPENERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
}


@dataclass(frozen=True)
class File:
    """A file in memory, uncompressed.

    Attributes:
        name: how messages name it, its path where it has one.
        data: its bytes.
    """

    name: str
    data: bytes


def find(folder: Path, name: str) -> Path | None:
    """The file of that name, or its compressed form; None if there is neither.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: give the folder that holds the files")
    paths = (folder / f"{name}{suffix}" for suffix in _OPENERS)
    return next((path for path in paths if path.is_file()), None)


def read(path: Path) -> File:
    """A file, decompressed where its name says so.

    Raises:
        InputError: the file is missing, unreadable or not what its suffix says.
    """
    try:
        data = path.read_bytes()
        return File(str(path), _OPENERS.get(path.suffix, bytes)(data))
    except (OSError, EOFError, lzma.LZMAError, ZlibError) as error:
        raise InputError(f"cannot read {path} ({error}): give an existing, whole file") from None


def read_all(folder: Path, names: Iterable[str]) -> dict[str, File]:
    """All files of a layout.

    Raises:
        InputError: the folder or one of the files is missing; the nearest name there is offered.
    """
    files = {}
    for name in names:
        path = find(folder, name)
        if path is None:
            there = [entry.name for entry in folder.iterdir()]
            hint = nearest(name, there) if there else "the folder is empty"
            raise InputError(f"{folder} holds no {name} (nor {name}.gz, {name}.xz): {hint}")
        files[name] = read(path)
    return files
