"""TensorBoard: event files in the run folder; look at them with ``tensorboard --logdir runs``."""

from collections.abc import Mapping
from typing import Any

from ufgraphfr.trackers.base import Log, TrackedRun, Tracker, need


class TensorBoard(Tracker):
    """Scalars of each round, and the result, for TensorBoard."""

    def check(self) -> None:
        """See `Tracker.check`."""
        need("tensorboard", "tensorboard", "tensorboard")

    def begin(self, run: TrackedRun) -> Log:
        """See `Tracker.begin`; what was written of rounds that come again is hidden."""
        from torch.utils.tensorboard import SummaryWriter

        # no types there
        writer: Any = SummaryWriter(
            str(run.place / "tensorboard"), purge_step=run.first if run.first > 1 else None
        )
        lines = "".join(f"    {key} = {value}\n" for key, value in run.settings.items())
        writer.add_text("settings", lines, 0)
        return _Events(writer)


class _Events:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def log(self, round_number: int, values: Mapping[str, float]) -> None:
        """See `Log.log`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, round_number)
        self._writer.flush()

    def finish(self, values: Mapping[str, float]) -> None:
        """See `Log.finish`."""
        for name, value in values.items():
            self._writer.add_scalar(f"result/{name}", value, 0)
        self._writer.close()
