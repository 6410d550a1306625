"""The public catalogue: items in their fixed order, with titles and features."""

import hashlib
import json
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.versions import Schema
from ufgraphfr.data.missing import present

SCHEMA = Schema("catalogue")
"""A file without one is of version 1: what is agreed on keeps its digest."""


@dataclass(frozen=True)
class Catalogue:
    """What everybody knows of the items.

    Attributes:
        items: their names in the files, ``items[i]``.
        titles: one for each item (its name if it has none).
        features: the values of each item by feature, e.g. ``{"genre": (("Drama",), ...)}``.
        kinds: what some features are, where it was said: ``label``, ``number`` or ``text``.

    Raises:
        ValueError: the fields differ in length.
    """

    items: tuple[str, ...]
    titles: tuple[str, ...]
    features: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks the lengths."""
        for name, values in (("titles", self.titles), *self.features.items()):
            if len(values) != len(self.items):
                raise ValueError(f"{len(values)} {name} for {len(self.items)}")

    @property
    def words(self) -> tuple[tuple[str, ...], ...]:
        """What is said of each item beside its title: its genres and the texts among features."""
        said = {"genre", *(name for name, kind in self.kinds.items() if kind == "text")}
        names = [name for name in self.features if name in said]
        columns = [map(present, self.features[name]) for name in names]
        joined = zip(((),) * len(self.items), *columns, strict=True)
        return tuple(tuple(chain.from_iterable(own)) for own in joined)

    @property
    def digest(self) -> str:
        """SHA-256 of the file's content."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Write the catalogue as JSON."""
        write_atomically(path, self._text().encode())

    def _text(self) -> str:
        facts: dict[str, Any] = {"items": self.items, "titles": self.titles}
        facts["features"] = self.features
        # what nobody said is not written, so that agreed catalogues keep their digests
        facts |= {"kinds": self.kinds} if self.kinds else {}
        return json.dumps(facts, sort_keys=True)


def read_catalogue(path: Path) -> Catalogue:
    """A catalogue that `Catalogue.write` wrote.

    Raises:
        InputError: the file cannot be read as one.
    """
    try:
        facts = SCHEMA.read(json.loads(path.read_text(encoding="utf-8")), path)
        features = {name: tuple(map(tuple, own)) for name, own in facts["features"].items()}
        kinds = facts.get("kinds", {})
        return Catalogue(tuple(facts["items"]), tuple(facts["titles"]), features, kinds)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a readable catalogue ({type(error).__name__}): copy it again from "
            f"the folder that deploy init wrote"
        ) from None
