"""The ``[run]`` table: what happens beside a run; it decides nothing of its result."""

from pydantic import field_validator

from ufgraphfr.core.spec import Spec
from ufgraphfr.trackers import TRACKERS, Tracker


class RunSpec(Spec):
    """What happens beside a run; the ``[run]`` table."""

    trackers: tuple[str, ...] = ()
    """Where figures of rounds go too, as in ``["tensorboard"]``; ``metrics.jsonl`` has them always.
    One of your own is ``package.module.Class``."""
    track_personal: bool = False
    """Whether under a guarantee trackers are told what it does not cover, as metrics."""

    @field_validator("trackers", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        if not isinstance(value, list | tuple):
            raise ValueError('must be a list, as in ["tensorboard"]')
        return value

    @field_validator("trackers")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for kind in value:
            TRACKERS.find(kind)
        return value

    @property
    def built(self) -> tuple[Tracker, ...]:
        """The trackers."""
        return tuple(TRACKERS.build(kind, {}, f"[run] trackers {kind}") for kind in self.trackers)
