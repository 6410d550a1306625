"""Tokens by which apps of a node may ask for its users: shown once, kept as digests, revocable."""

import hashlib
import hmac
import json
import re
import secrets
from pathlib import Path

from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.versions import Schema

SCHEMA = Schema("tokens")
BYTES = 32
"""Of chance in a token: too many to guess, so that a plain digest of it is enough."""


class Tokens:
    """The tokens of one shard, by the apps that have them."""

    def __init__(self, path: Path) -> None:
        """Names the file; it is made with the first token."""
        self._path = path

    @property
    def names(self) -> list[str]:
        """The apps that have one.

        Raises:
            InputError: a newer release wrote the file.
        """
        return sorted(self._digests())

    def add(self, name: str) -> str:
        """Make a token for an app; nobody can look it up again.

        Raises:
            InputError: it is no name, or has one.
        """
        digests = self._digests()
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", name):
            raise InputError(f"app '{name}': a name is of letters, digits, '-', '_' and '.'")
        if name in digests:
            raise InputError(f"app '{name}' has a token: revoke it first, with agent tokens revoke")
        token = secrets.token_urlsafe(BYTES)
        self._write(digests | {name: _digest(token)})
        return token

    def revoke(self, name: str) -> None:
        """Take the token of an app back.

        Raises:
            InputError: it has none.
        """
        digests = self._digests()
        if name not in digests:
            raise InputError(f"app '{name}' has no token: {nearest(name, digests)}")
        self._write({other: digest for other, digest in digests.items() if other != name})

    def accepts(self, token: str) -> bool:
        """Whether some app has this token."""
        digest = _digest(token)
        # all are compared, so that the time says nothing
        return sum(hmac.compare_digest(digest, each) for each in self._digests().values()) > 0

    def _digests(self) -> dict[str, str]:
        if not self._path.exists():
            return {}
        document = SCHEMA.read(json.loads(self._path.read_text(encoding="utf-8")), self._path)
        digests: dict[str, str] = document["tokens"]
        return digests

    def _write(self, digests: dict[str, str]) -> None:
        document = json.dumps(SCHEMA.write({"tokens": digests}), indent=2)
        write_atomically(self._path, document.encode(), sync=True)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
