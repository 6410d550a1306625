"""The public catalogue: items in their fixed order, with titles and features."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.versions import Schema

SCHEMA = Schema("catalogue")
"""A file without one is of version 1: what is agreed on keeps its digest."""


@dataclass(frozen=True)
class Catalogue:
    """What everybody knows of the items.

    Attributes:
        items: their names in the files, ``items[i]``.
        titles: one for each item (its name if it has none).
        features: the values of each item by feature, e.g. ``{"genre": (("Drama",), ...)}``.

    Raises:
        ValueError: the fields differ in length.
    """

    items: tuple[str, ...]
    titles: tuple[str, ...]
    features: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks the lengths."""
        for name, values in (("titles", self.titles), *self.features.items()):
            if len(values) != len(self.items):
                raise ValueError(f"{len(values)} {name} for {len(self.items)}")

    @property
    def digest(self) -> str:
        """SHA-256 of the file's content."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Write the catalogue as JSON."""
        write_atomically(path, self._text().encode())

    def _text(self) -> str:
        facts = {"items": self.items, "titles": self.titles, "features": self.features}
        return json.dumps(facts, sort_keys=True)


def read_catalogue(path: Path) -> Catalogue:
    """A catalogue that `Catalogue.write` wrote.

    Raises:
        InputError: the file cannot be read as one.
    """
    try:
        facts = SCHEMA.read(json.loads(path.read_text(encoding="utf-8")), path)
        features = {name: tuple(map(tuple, own)) for name, own in facts["features"].items()}
        return Catalogue(tuple(facts["items"]), tuple(facts["titles"]), features)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a readable catalogue ({type(error).__name__}): copy it again from "
            f"the folder that deploy init wrote"
        ) from None
