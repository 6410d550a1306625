"""What a data set must offer: a card, and a way to load it with every row checked."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.spec import Spec
from ufgraphfr.data import templates
from ufgraphfr.data.dataset import Card, Dataset
from ufgraphfr.data.profiles import LARGEST, combinations


class Source(Spec, ABC):
    """One data set. Hyper-parameters are the keys of its ``[data]`` table."""

    card: ClassVar[Card]
    files: ClassVar[tuple[str, ...]] = ()
    """Keys that name files: what these hold decides, not what they are called."""

    on_bad_row: Literal["error", "skip"] = "error"
    """A row that cannot be used stops the load, or is skipped and counted."""

    profile_values: dict[str, tuple[str | int, ...]] = Field(default_factory=dict)
    """Some values that each field of a profile may take, known without looking at any user (all
    genders, ages ten years apart): what a private model may know of profiles beforehand."""

    def describe(self, profile: Mapping[str, str]) -> str:
        """The sentence about a user of a profile."""
        return templates.attributes(profile)

    def every_text(self) -> tuple[str, ...]:
        """The sentences of all combinations of `profile_values`, distinct; none of none.

        Raises:
            InputError: there are too many, or no sentence can be made of one.
        """
        values = {name: tuple(map(str, own)) for name, own in self.profile_values.items()}
        space = combinations(values)
        if space is None:
            raise InputError(
                f"[data.profile_values]: more than {LARGEST:,} combinations: declare fewer values "
                f"of {', '.join(values)}, such as every tenth age"
            )
        try:
            return tuple(dict.fromkeys(map(self.describe, space))) if values else ()
        except KeyError as missing:
            raise InputError(
                f"[data.profile_values]: the sentence about a user needs {missing}: declare each "
                f"field that it names, with values as the data set writes them"
            ) from None

    @property
    def from_rows(self) -> tuple[str, ...]:
        """What counts as public of these data and follows from people's rows, a sentence each."""
        return (
            "The list of items is what people's rows hold, and so are features and text columns "
            "that are made of it. An item that one person alone has says that somebody has it.",
        )

    def under_budget(self) -> "Source":
        """The same data set, with as little that follows from people's rows as it can."""
        return self

    def of_before(self) -> "Source":
        """As `under_budget` was in the releases up to 0.2, whose runs can still be read."""
        return self

    def located(self, *folders: Path) -> "Source":
        """The same data set, each file named by its path in the first folder that has it.

        What is named by a path is looked for by the last part of it.
        """
        return self

    @property
    def origin(self) -> str:
        """What tells whose data these are, however they are read; of a located source."""
        return self.kind

    @property
    def at_hand(self) -> bool:
        """Whether the files are on this machine, so that `load` has nothing to fetch."""
        return True

    def load_again(self, data_dir: Path | None = None) -> Dataset:
        """As `load`, for whoever reads the same files often: the cache may keep what takes long."""
        return self.load(data_dir)

    @abstractmethod
    def load(self, data_dir: Path | None = None) -> Dataset:
        """Read the files and check every row.

        Args:
            data_dir: where the files lie; None looks in the cache, then fetches them where the
                owner permits.

        Raises:
            InputError: a file or column is missing, or a row is bad (file and line are named).
        """
