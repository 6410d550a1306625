"""MLflow: one of its runs for each of ours, where ``MLFLOW_TRACKING_URI`` says.

Without that variable it is a SQLite file in the run folder, ``mlflow.db``.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

from ufgraphfr.trackers.base import Log, TrackedRun, Tracker, need

LONGEST = 500
"""Characters of a setting that MLflow keeps."""


class MLflow(Tracker):
    """Settings, metrics of each round and the result, for MLflow."""

    def check(self) -> None:
        """See `Tracker.check`."""
        need("mlflow", "mlflow", "mlflow")

    def begin(self, run: TrackedRun) -> Log:
        """See `Tracker.begin`; a run that goes on is one run there too."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.tracking import MlflowClient

        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.place / 'mlflow.db'}"
        client, known = MlflowClient(place), run.place / "mlflow-run"
        if run.first > 1 and known.exists():
            return _Run(client, known.read_text(encoding="utf-8"))
        experiment = client.get_experiment_by_name("ufgraphfr")
        number = experiment.experiment_id if experiment else client.create_experiment("ufgraphfr")
        begun: str = client.create_run(number, run_name=run.name).info.run_id
        for key, value in run.settings.items():
            client.log_param(begun, _name(key), str(value)[:LONGEST])
        known.write_text(begun, encoding="utf-8")
        return _Run(client, begun)


def _name(text: str) -> str:
    """As MLflow permits: ``ndcg@10`` is ``ndcg_at_10``."""
    return re.sub(r"[^\w./ -]", "_", text.replace("@", "_at_"))


class _Run:
    def __init__(self, client: Any, run: str) -> None:
        self._client, self._run = client, run

    def log(self, round_number: int, values: Mapping[str, float]) -> None:
        """See `Log.log`."""
        for name, value in values.items():
            self._client.log_metric(self._run, _name(name), value, step=round_number)

    def finish(self, values: Mapping[str, float]) -> None:
        """See `Log.finish`."""
        for name, value in values.items():
            self._client.log_metric(self._run, _name(f"result/{name}"), value)
        self._client.set_terminated(self._run, "FINISHED" if values else "KILLED")
