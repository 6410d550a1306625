"""Archives of folders: one file that only its owner may read, written whole or not at all."""

import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from ufgraphfr.core.errors import InputError


def write_archive(file: Path, members: Mapping[str, Path]) -> None:
    """Write files and folders into an archive.

    Args:
        file: to write; it must not be there.
        members: by their names in the archive; what is not there is left out.

    Raises:
        InputError: the file is there already, or cannot be written.
    """
    if file.exists():
        raise InputError(f"{file} is there already: name another file")
    partial = file.with_name(f".{file.name}.partial")
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
            for name, path in members.items():
                if path.exists():
                    archive.add(path, name)
            archive.close()
            raw.flush()
            os.fsync(raw.fileno())
        partial.rename(file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(
            f"cannot write {file} ({error.strerror}): make room, or name another"
        ) from (None)


def read_archive(file: Path, folder: Path, first: str) -> None:
    """Unpack an archive that `write_archive` wrote.

    Args:
        file: of the archive.
        folder: where to.
        first: a member that it must hold.

    Raises:
        InputError: it is none, is damaged, or holds something else.
    """
    try:
        with tarfile.open(file) as archive:
            if first not in archive.getnames():
                raise InputError(f"{file} holds no {first}: name a file that backup wrote")
            for member in archive:
                inside = not Path(member.name).is_absolute() and ".." not in Path(member.name).parts
                if not (inside and (member.isfile() or member.isdir())):
                    raise tarfile.TarError(f"{member.name} is no file within it")
            # Python before 3.11.4 has no filters
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise InputError(
            f"{file} cannot be read as a backup ({error}): take another copy"
        ) from None
