"""Experiment trackers: one file each. They are told of a run's rounds and decide nothing of it."""

from ufgraphfr.core.spec import Registry
from ufgraphfr.trackers.base import Log, TrackedRun, Tracker

__all__ = ["TRACKERS", "Log", "TrackedRun", "Tracker"]

TRACKERS: Registry[Tracker] = Registry(__name__, Tracker, "tracker")  # type: ignore[type-abstract]
