"""The releases that a node has: each in a folder of its own, checked when it came and when read."""

import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ufgraphfr.core.arrays.tables import SharedTable
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.messages import Task
from ufgraphfr.deploy.agent.answers import Refused
from ufgraphfr.deploy.wire.message import Malformed
from ufgraphfr.deploy.wire.payload import (
    SHARED_TABLE,
    decode_task,
    digest,
)
from ufgraphfr.deploy.wire.release import Release
from ufgraphfr.federation.codec import pieces

DOCUMENT, SHARED, PERSONAL = "release.json", "shared.safetensors", "personal.safetensors"
KEPT = 5
"""Releases that a node keeps beside the one it was told to use."""


@dataclass(frozen=True)
class PublishedModel:
    """A release with its arrays.

    Attributes:
        release: what is known of it.
        shared: what is the same for all clients, as `payload.shared_arrays` names it.
        personal: tables that some of this node's clients have of their own, as a task of these.
    """

    release: Release
    shared: dict[str, Tensor]
    personal: Task

    def task(self, clients: Tensor) -> Task:
        """What these clients score with, int64 ``[clients]``, all of whom have what they need."""
        plain = {n: v for n, v in self.shared.items() if not n.startswith(SHARED_TABLE)}
        tables = {
            name.removeprefix(SHARED_TABLE): SharedTable(value, len(clients))
            for name, value in self.shared.items()
            if name.startswith(SHARED_TABLE)
        }
        places = (self.personal.clients[None] == clients[:, None]).long().argmax(1)
        own = self.personal.select(places).personal if self.personal.personal else {}
        return replace(self.personal, clients=clients, shared=plain, personal=tables | own)


class Models:
    """The releases of one shard."""

    def __init__(self, path: Path) -> None:
        """Names the folder; it is made when there is something to keep."""
        self._path = path
        # the number of the release that the operator chose; there is none without a choice
        self._chosen = path / "use"

    @property
    def numbers(self) -> list[int]:
        """The releases that are here, ascending."""
        names = [path.name for path in self._path.glob("*") if path.is_dir()]
        return sorted(int(name) for name in names if re.fullmatch("[1-9][0-9]*", name))

    @property
    def chosen(self) -> int | None:
        """The release that the operator chose; None leaves it to the newest."""
        return int(self._chosen.read_text()) if self._chosen.exists() else None

    @property
    def current(self) -> int | None:
        """The release that is served; None if none has come yet."""
        return self.chosen or max(self.numbers, default=None)

    def release(self, number: int) -> Release:
        """What is known of a release.

        Raises:
            InputError: it is not here, or its file was changed.
        """
        self._check_here(number)
        path = self._folder(number) / DOCUMENT
        try:
            return Release.read(path.read_bytes())
        except (OSError, Malformed) as error:
            raise _unreadable(path, error, number) from None

    def load(self, number: int) -> PublishedModel:
        """A release with its arrays.

        Raises:
            InputError: it is not here, or a file of it was changed.
        """
        release, folder = self.release(number), self._folder(number)
        try:
            # mapped: bytes of it would be a second copy beside the arrays
            shared = load_file(folder / SHARED)
            personal = decode_task({}, (folder / PERSONAL).read_bytes())
        except (OSError, Malformed, SafetensorError) as error:
            raise _unreadable(folder, error, number) from None
        if {name: digest(value) for name, value in shared.items()} != release.arrays:
            raise _unreadable(folder / SHARED, ValueError("another digest"), number)
        return PublishedModel(release, shared, personal)

    def keep(self, release: Release, shared: dict[str, Tensor], personal: bytes) -> None:
        """Keep a release, whole or not at all; the oldest beyond `KEPT` go.

        Raises:
            Refused: another release of that number is here.
        """
        if release.number in self.numbers:
            if self.release(release.number).digest != release.digest:
                raise Refused(f"another release {release.number} is here already")
            return
        self._path.mkdir(mode=0o700, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=self._path, prefix=".partial."))
        try:
            write_atomically(partial / SHARED, pieces(shared), sync=True)
            write_atomically(partial / PERSONAL, personal, sync=True)
            write_atomically(partial / DOCUMENT, release.document, sync=True)
            partial.rename(self._folder(release.number))
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        spare = [number for number in self.numbers if number != self.chosen]
        for number in spare[:-KEPT]:
            shutil.rmtree(self._folder(number))

    def use(self, number: int | None) -> None:
        """Serve this release from now on; None is the newest, also of those to come.

        Raises:
            InputError: it is not here.
        """
        if number is None:
            self._chosen.unlink(missing_ok=True)
            return
        self.load(number)
        write_atomically(self._chosen, f"{number}\n".encode())

    def drop(self, number: int) -> None:
        """Delete a release.

        Raises:
            InputError: it is not here, or it is served.
        """
        self._check_here(number)
        if number == self.current:
            raise InputError(
                f"release {number} is served: choose another one first, with agent models use"
            )
        shutil.rmtree(self._folder(number))

    def _check_here(self, number: int) -> None:
        here = self.numbers
        if number not in here:
            listed = ", ".join(map(str, here)) or "none yet"
            raise InputError(f"release {number} is not at this node: there are {listed}")

    def _folder(self, number: int) -> Path:
        return self._path / str(number)


def _unreadable(path: Path, error: Exception, number: int) -> InputError:
    return InputError(
        f"{path} is not as it came ({error}): drop release {number} with agent models drop, and "
        f"ask for it again with deploy publish"
    )
