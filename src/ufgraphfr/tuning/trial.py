"""One trial: an experiment trained and validated, never tested."""

import shutil
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.evaluation.metrics import SELECTED_BY
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.derive import derive
from ufgraphfr.experiment.fitted import fit_baseline, validate_baseline
from ufgraphfr.experiment.population import Simulated
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.experiment.training import train


@dataclass(frozen=True)
class Trial:
    """A trial that has ended.

    Attributes:
        number: from 0.
        values: what was tried, by ``table.key``.
        value: the best validation, `SELECTED_BY`; None if it failed.
        rounds: how many it was trained.
        state: ``complete``, ``pruned`` or ``fail``.
    """

    number: int
    values: dict[str, Any]
    value: float | None
    rounds: int
    state: str


def validations(
    experiment: Experiment, prepared: PreparedExperiment, device: torch.device, folder: Path
) -> Generator[tuple[int, float], None, None]:
    """Train, and yield each validated round with its `SELECTED_BY`.

    Args:
        experiment: the settings of this trial, without a budget.
        prepared: the data, which all trials share.
        device: to train on.
        folder: where checkpoints lie while it trains; nothing is left of them.
    """
    experiment = derive(experiment, prepared.public_facts, prepared.setting)
    model, chunk = experiment.model, experiment.evaluation.chunk
    if not isinstance(model, Algorithm):
        fitted = fit_baseline(model, prepared, chunk)
        found = validate_baseline(model, fitted, prepared, chunk)
        yield 1, found.metrics["full"][SELECTED_BY]
        return
    place = Path(tempfile.mkdtemp(dir=folder, prefix="trial-"))
    try:
        files = RunFolder(place / "run")
        files.create(experiment)
        population = Simulated(experiment, prepared, device)
        for step in train(experiment, model, population, files, device):
            if step.validation is not None:
                yield step.round, step.validation["full"][SELECTED_BY]
    finally:
        shutil.rmtree(place, ignore_errors=True)
