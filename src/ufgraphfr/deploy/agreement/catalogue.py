"""The public catalogue: items in their fixed order, with titles and features."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.data.features import columns


@dataclass(frozen=True)
class Catalogue:
    """What everybody in a federation knows of the items.

    Attributes:
        items: their names; place i is item number i.
        titles: one for each item.
        features: by name, the values of each item.
    """

    items: tuple[str, ...]
    titles: tuple[str, ...]
    features: dict[str, tuple[tuple[str, ...], ...]]

    def matrix(self) -> Tensor:
        """The features as numbers, float ``[items, columns]``; see `data.features.columns`."""
        return columns(len(self.items), self.features)

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
        facts = json.loads(path.read_text(encoding="utf-8"))
        features = {name: tuple(map(tuple, own)) for name, own in facts["features"].items()}
        return Catalogue(tuple(facts["items"]), tuple(facts["titles"]), features)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a readable catalogue ({type(error).__name__}): copy it again from "
            f"the folder that deploy init wrote"
        ) from None
