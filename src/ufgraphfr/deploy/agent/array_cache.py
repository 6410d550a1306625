"""Public arrays that the server sent before and need not send again, by their digest."""

import re
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ufgraphfr.core.folders import write_atomically
from ufgraphfr.deploy.agent.answers import Refused
from ufgraphfr.deploy.wire.message import Envelope, MissingArray
from ufgraphfr.deploy.wire.payload import decode_arrays, digest, is_large
from ufgraphfr.federation.codec import pieces


class ArrayCache:
    """Arrays of the last message, as files."""

    def __init__(self, folder: Path) -> None:
        """Names the folder; it is made when there is something to keep."""
        self._folder = folder

    def get(self, name: str) -> Tensor | None:
        """The array of a digest; None if it is not here, or its file was changed."""
        # a digest and no path: the caller chose it
        if not re.fullmatch("[0-9a-f]{64}", name):
            return None
        try:
            value = load_file(self._path(name))["array"]
        except (OSError, SafetensorError, KeyError):
            return None
        return value if digest(value) == name else None

    def named_by(self, request: Envelope) -> dict[str, Tensor]:
        """The arrays that a request names by digest: it holds them, or they are cached here.

        Raises:
            Refused: it holds others than it names.
            MissingArray: it does not hold one that is not here either.
        """
        named, sent = request.facts.get("shared"), decode_arrays(request.parts[0])
        if not isinstance(named, dict) or not sent.keys() <= named.keys():
            raise Refused("arrays that the request does not name")
        arrays: dict[str, Tensor] = {}
        for name, sha256 in named.items():
            if name in sent:
                if digest(sent[name]) != sha256:
                    raise Refused("another array than the request names")
                arrays[name] = sent[name]
            elif (here := self.get(str(sha256))) is not None:
                arrays[name] = here
            else:
                raise MissingArray("an array that is not here any more")
        self.keep({str(sha256): arrays[name] for name, sha256 in named.items()})
        return arrays

    def keep(self, arrays: dict[str, Tensor]) -> None:
        """Keep these arrays, by digest, and no others."""
        large = {name: value for name, value in arrays.items() if is_large(value)}
        for path in self._folder.glob("*"):
            if path.stem not in large:
                path.unlink()
        for name, value in large.items():
            if not self._path(name).exists():
                write_atomically(self._path(name), pieces({"array": value}))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.safetensors"
