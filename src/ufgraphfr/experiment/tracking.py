"""Trackers are told of a run: all of it, or under a guarantee what may be shared.

When a round ended says how long it took, and that depends on who took part. So under a guarantee
trackers are told in the end, unless personal figures are tracked. A tracker that fails costs its
own figures, never the run.
"""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ufgraphfr.core.workers import workers
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.publish import public_settings
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.experiment.settings import flat
from ufgraphfr.experiment.training import Progress
from ufgraphfr.trackers import Log, TrackedRun

logger = logging.getLogger(__name__)

RESULTS = ("validation", "test", "cold", "cold_all", "new_items", "seconds", "rounds", "best_round")
"""Parts of a result that are told."""


class Tracking:
    """The trackers of one run.

    Attributes:
        everything: whether they are told what no guarantee covers.
    """

    def __init__(self, experiment: Experiment, files: RunFolder) -> None:
        """Opens them; nothing is told yet."""
        self._files = files
        self.everything = not experiment.is_private or experiment.run.track_personal
        changed = experiment.resolved() if self.everything else public_settings(experiment)
        run = TrackedRun(
            name=experiment.name,
            place=files.own if self.everything else files.path,
            settings=flat(changed),
            first=len(files.read_metrics()) + 1,
        )
        self._logs: dict[str, Log] = {}
        # the first of several workers speaks for all
        for tracker in experiment.run.built if workers().is_first else ():
            with self._guarded(tracker.kind):
                self._logs[tracker.kind] = tracker.begin(run)

    def watched(self, steps: Iterator[Progress]) -> Iterator[Progress]:
        """The same steps; trackers are told of each."""
        try:
            for step in steps:
                if self.everything:
                    self._tell(step.round, step.line)
                yield step
        except BaseException:
            self.finish(None)
            raise

    def finish(self, result: Mapping[str, Any] | None) -> None:
        """Tell the result, and close the trackers; None if there is none."""
        if not self.everything and result is not None:
            for line in self._files.shared_metrics():
                self._tell(line["round"], line)
        told = {} if result is None else scalars({k: result[k] for k in RESULTS if k in result})
        for kind, log in list(self._logs.items()):
            with self._guarded(kind):
                log.finish(told)
        self._logs.clear()

    def _tell(self, number: int, line: Mapping[str, Any]) -> None:
        for kind, log in list(self._logs.items()):
            with self._guarded(kind):
                log.log(number, scalars(line))

    @contextmanager
    def _guarded(self, kind: str) -> Iterator[None]:
        """A tracker that fails here is told no more."""
        try:
            yield
        # whatever it is: a server that is gone must not cost hours of training
        except Exception as error:
            why = str(error).partition("\n")[0] or type(error).__name__
            logger.warning("tracker %s is told no more: %s", kind, why)
            self._logs.pop(kind, None)


def scalars(values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers in nested tables, as ``table/key``; what is no number is left out."""
    return {
        key.replace(".", "/"): float(value)
        for key, value in flat(dict(values)).items()
        if isinstance(value, int | float) and math.isfinite(value) and key != "round"
    }
