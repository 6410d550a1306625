"""What a data set must offer: a card, and a way to load it with every row checked."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Literal

from ufgraphfr.core.spec import Spec
from ufgraphfr.data.dataset import Card, Dataset


class Source(Spec, ABC):
    """One data set. Hyper-parameters are the keys of its ``[data]`` table."""

    card: ClassVar[Card]
    files: ClassVar[tuple[str, ...]] = ()
    """Keys that name files: what these hold decides, not what they are called."""

    on_bad_row: Literal["error", "skip"] = "error"
    """A row that cannot be used stops the load, or is skipped and counted."""

    def located(self, *folders: Path) -> "Source":
        """The same data set, each file named by its path in the first folder that has it.

        What is named by a path is looked for by the last part of it.
        """
        return self

    @abstractmethod
    def load(self, data_dir: Path | None = None) -> Dataset:
        """Read the files and check every row.

        Args:
            data_dir: where the files lie; None looks in the cache, then fetches them where the
                owner permits.

        Raises:
            InputError: a file or column is missing, or a row is bad (file and line are named).
        """
