"""A finished run as an object: its experiment, result, metrics, ranks, data and model."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.columns import read_parquet
from ufgraphfr.evaluation.protocol import Score
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.population import restored_score
from ufgraphfr.experiment.prepare import PreparedExperiment, data_difference, prepare
from ufgraphfr.experiment.run_folder import Checkpoint, RunFolder, load_checkpoint
from ufgraphfr.experiment.schemas import RANKS, RESULT


@final
class Run:
    """A finished run, read from its folder; files are read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        """Open a run folder.

        Raises:
            InputError: the folder holds no finished run.
        """
        self.folder = folder
        self._files = RunFolder(folder)
        if not self._files.result.exists():
            raise InputError(f"{folder} holds no finished run: train it with ufgraphfr run")

    @cached_property
    def experiment(self) -> Experiment:
        """What was run, with every setting as it was."""
        return self._files.experiment()

    @cached_property
    def result(self) -> dict[str, Any]:
        """What ``result.json`` says, in today's schema."""
        return read_result(self._files.result)

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """One object for each round; none for a model without rounds."""
        return self._files.read_metrics()

    @cached_property
    def ranks(self) -> dict[str, NDArray[Any]]:
        """A column for each ranking, a row for each target; none if ranks stay on the devices."""
        if not self._files.ranks.exists():
            return {}
        columns = read_parquet(self._files.ranks)
        RANKS.check(int(np.max(columns.pop("schema", 1), initial=1)), self._files.ranks)
        return columns

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The weights at the best round."""
        return load_checkpoint(self._files.model, torch.device("cpu"))

    def prepared(self, data_dir: Path | None = None) -> PreparedExperiment:
        """The data it was trained on.

        Args:
            data_dir: where the data set's files lie; otherwise they are looked for where the
                experiment's own file was, as seen from the run folder.

        Raises:
            InputError: the data cannot be found or have changed.
        """
        prepared = prepare(self.experiment, data_dir)
        if differs := data_difference(self.result["data"], prepared.facts):
            raise InputError(
                f"{self.folder} was trained on other data ({differs}): name its files with "
                f"--data-dir"
            )
        return prepared

    def score(self, prepared: PreparedExperiment) -> Score:
        """The model, as each user's device scores at the best round."""
        return restored_score(self.experiment, self.checkpoint, prepared.setting)


def read_result(path: Path) -> dict[str, Any]:
    """What a ``result.json`` says, of whatever release.

    Raises:
        InputError: a newer release wrote it.
    """
    return RESULT.read(json.loads(path.read_text(encoding="utf-8")), path)
