"""A data set's files as they lie in a folder, read through gzip, xz and zip containers."""

import gzip
import lzma
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from zlib import error as ZlibError

from ufgraphfr.core.errors import InputError, nearest

_OPENERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".xz": lzma.decompress}
CONTAINERS = (*_OPENERS, ".zip")


@dataclass(frozen=True)
class File:
    """A file in memory, uncompressed.

    Attributes:
        name: how messages name it, its path where it has one; in a zip archive, the archive's path
            and its own in there.
        data: its bytes.
    """

    name: str
    data: bytes


def find(folder: Path, name: str, folders: bool = False) -> Path | None:
    """The file of that name, or its compressed form; None if there is neither.

    ``archive.zip/name`` is a file in an archive. With ``folders``, a folder of that name is found
    too.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: give the folder that holds the files")
    if _archive(folder / name) or (folders and (folder / name).is_dir()):
        return folder / name
    paths = (folder / f"{name}{suffix}" for suffix in ("", *CONTAINERS))
    return next((path for path in paths if path.is_file()), None)


def parquet_files(folder: Path, name: str) -> list[str]:
    """The names of the Parquet files in a folder of that name; the name itself if it is none.

    Raises:
        InputError: the folder holds none.
    """
    inside = folder / name
    if not inside.is_dir():
        return [name]
    found = sorted(str(path.relative_to(folder)) for path in inside.rglob("*.parquet"))
    if not found:
        raise InputError(f"{inside} holds no .parquet file: name one, or a list of files")
    return found


def read(path: Path) -> File:
    """A file, decompressed where its name says so; of a zip archive its only one.

    Raises:
        InputError: the file is missing, unreadable or not what its suffix says, or an archive
            holds several and none is named.
    """
    archive, suffix = _archive(path), path.suffix.lower()
    try:
        if archive:
            return _member(archive, path.relative_to(archive).as_posix())
        if suffix == ".zip":
            return _member(path, "")
        return File(str(path), _OPENERS.get(suffix, bytes)(path.read_bytes()))
    except (OSError, EOFError, lzma.LZMAError, ZlibError, zipfile.BadZipFile) as error:
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


def _archive(path: Path) -> Path | None:
    """The zip archive that a path leads into."""
    above = (each for each in path.parents if each.suffix.lower() == ".zip")
    return next((each for each in above if each.is_file()), None)


def _member(archive: Path, name: str) -> File:
    with zipfile.ZipFile(BytesIO(archive.read_bytes())) as opened:
        # what some systems add to an archive is none of its content
        names = [
            each
            for each in opened.namelist()
            if not each.endswith("/") and not each.startswith("__MACOSX/")
        ]
        chosen = [name] if name in names else [each for each in names if not name]
        if len(chosen) != 1:
            raise InputError(
                f"{archive} holds {len(names)} files, {f'and no {name}' if name else 'not one'}: "
                f"write {archive.name}/NAME ({nearest(PurePosixPath(name).name, names)})"
            )
        return File(f"{archive}/{chosen[0]}", opened.read(chosen[0]))
