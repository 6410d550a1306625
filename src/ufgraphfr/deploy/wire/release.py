"""A release: one version of the public model, as server and nodes know it, by the same digest.

Its document names every array by digest, the release that came before it, and what is promised of
it. So the digest of the document stands for all of it, and for the line of its predecessors.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.versions import Schema
from ufgraphfr.deploy.wire.message import MAX_NAME, MAX_ROUND, Malformed

SCHEMA = Schema("release")
MAX_TEXT = 2**15
"""Letters of a statement."""
MAX_ARRAYS = 64
SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Release:
    """What is known of a version.

    Attributes:
        number: from 1, in the order in which they were published.
        agreement: digest of the agreement it was trained under.
        run: which trained it.
        round: its round there.
        parent: digest of the release before; empty for the first.
        guarantee: what is promised, in one line.
        statement: the same on a page.
        arrays: SHA-256 of each array that is the same for all clients.
    """

    number: int
    agreement: str
    run: str
    round: int
    parent: str
    guarantee: str
    statement: str
    arrays: dict[str, str]

    @property
    def facts(self) -> dict[str, Any]:
        """The document, as it travels and is written."""
        return SCHEMA.write(asdict(self))

    @property
    def document(self) -> bytes:
        """The file."""
        return json.dumps(self.facts, sort_keys=True).encode()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.document).hexdigest()

    @property
    def next_run(self) -> str:
        """The name of the run that goes on from it."""
        return f"{self.run.partition('.')[0]}.{self.number}"

    @staticmethod
    def of(facts: Any) -> "Release":
        """A release from its document.

        Raises:
            Malformed: it is none, or of a newer schema.
        """
        try:
            values = SCHEMA.read(facts, "the release")
        except InputError as error:
            raise Malformed(str(error)) from None
        kinds = {each.name: each.type for each in fields(Release)}
        if values.keys() != kinds.keys():
            raise Malformed("the release has other fields")
        # bool is an int to Python, not to us
        if any(type(value) is not _type(kinds[name]) for name, value in values.items()):
            raise Malformed("a field of the release is of another type")
        release = Release(**values)
        limits = {"run": MAX_NAME, "guarantee": MAX_TEXT, "statement": MAX_TEXT}
        if any(len(values[name]) > most for name, most in limits.items()):
            raise Malformed("a text of the release is too long")
        if not (1 <= release.number < MAX_ROUND and 0 <= release.round < MAX_ROUND):
            raise Malformed("no such number of a release")
        digests = [release.agreement, *release.arrays.values(), *filter(None, [release.parent])]
        if len(release.arrays) > MAX_ARRAYS or not all(map(_is_digest, digests)):
            raise Malformed("the release does not name its parts by digest")
        return release

    @staticmethod
    def read(document: bytes) -> "Release":
        """A release from its file.

        Raises:
            Malformed: it is none.
        """
        try:
            facts = json.loads(document)
        except (ValueError, RecursionError):
            raise Malformed("the release is not JSON") from None
        return Release.of(facts)


def _type(annotation: Any) -> type:
    return {int: int, str: str}.get(annotation, dict)


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and bool(SHA256.fullmatch(value))
