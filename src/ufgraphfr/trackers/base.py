"""What a tracker must offer, and what it is told."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ufgraphfr.core.errors import MissingExtra
from ufgraphfr.core.spec import Spec


@dataclass(frozen=True)
class TrackedRun:
    """A run, as a tracker sees it.

    Attributes:
        name: of the experiment.
        place: a folder for the tracker's own files; under a guarantee it is one that may be shared,
            unless personal figures are tracked.
        settings: every setting, by ``table.key``.
        first: the round that comes next, 1 for a run that begins.
    """

    name: str
    place: Path
    settings: Mapping[str, Any]
    first: int


class Log(Protocol):
    """An open tracker."""

    def log(self, round_number: int, values: Mapping[str, float]) -> None:
        """Take the figures of a round, as in ``validation/full/ndcg@10``."""

    def finish(self, values: Mapping[str, float]) -> None:
        """Take the figures of the result, and close; none if the run ended without one."""


class Tracker(Spec, ABC):
    """Where figures of a run go beside its folder, whose ``metrics.jsonl`` always has them."""

    def check(self) -> None:
        """Say before a run begins if something is missing.

        Raises:
            MissingExtra: an optional dependency is not installed.
        """

    @abstractmethod
    def begin(self, run: TrackedRun) -> Log:
        """Open it for a run, or for one that goes on."""


def need(module: str, tracker: str, extra: str) -> None:
    """Check that a module is installed.

    Raises:
        MissingExtra: it is not.
    """
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise MissingExtra(f"the tracker '{tracker}'", extra)
