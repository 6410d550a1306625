"""Versioned documents: what an older release wrote is migrated, what a newer one wrote is refused.

A document names its schema, ``ufgraphfr-agreement-2``. One that names none is of version 1: some
were written before documents said so.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ufgraphfr.core.errors import InputError

Document: TypeAlias = dict[str, Any]
Migration: TypeAlias = Callable[[Document], Document]
"""From the keys of one version to those of the next; the document handed in stays as it is."""


@dataclass(frozen=True)
class Schema:
    """The versions of one kind of document.

    Attributes:
        name: of the kind, as in ``agreement``.
        migrations: the first turns version 1 into 2, and so on; there are as many versions, and
            one more.
    """

    name: str
    migrations: tuple[Migration, ...] = ()

    @property
    def version(self) -> int:
        """What this release writes, and the last that it reads."""
        return len(self.migrations) + 1

    @property
    def tag(self) -> str:
        """What a document of this release says under ``schema``."""
        return f"ufgraphfr-{self.name}-{self.version}"

    def write(self, document: Document) -> Document:
        """The document with its schema, which comes first."""
        return {"schema": self.tag, **document}

    def read(self, document: Any, where: object) -> Document:
        """A document as this release would have written it, without its schema.

        Args:
            document: as JSON or TOML was read.
            where: its file or origin, for messages.

        Raises:
            InputError: it is of another kind, or a newer release wrote it.
        """
        version = self.version_of(document, where)
        values: Document = {key: value for key, value in document.items() if key != "schema"}
        for migrate in self.migrations[version - 1 :]:
            values = migrate(values)
        return values

    def version_of(self, document: Any, where: object) -> int:
        """The version that a document names.

        Raises:
            InputError: it is of another kind, or a newer release wrote it.
        """
        if not isinstance(document, dict):
            raise InputError(f"{where} is no document of the kind '{self.name}': name another")
        tag = document.get("schema", f"ufgraphfr-{self.name}-1")
        found = re.fullmatch(rf"ufgraphfr-{re.escape(self.name)}-([1-9][0-9]{{0,8}})", str(tag))
        if found is None:
            raise InputError(
                f"{where} is of the schema {tag!r}, where 'ufgraphfr-{self.name}-1' to "
                f"'{self.tag}' can be read: name another"
            )
        version = int(found[1])
        self.check(version, where)
        return version

    def check(self, version: int, where: object) -> None:
        """Refuse what a newer release wrote, where a version is kept as a number.

        Raises:
            InputError: a newer release wrote it.
        """
        if version > self.version:
            raise InputError(
                f"{where} was written by a newer release ({self.name} schema {version}; this one "
                f"reads up to {self.version}): upgrade ufgraphfr"
            )
