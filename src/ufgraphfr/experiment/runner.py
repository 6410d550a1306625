"""Run an experiment into its folder."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import torch

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.environment import environment
from ufgraphfr.experiment.population import Population, Simulated
from ufgraphfr.experiment.prepare import prepare
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.experiment.result import write_result
from ufgraphfr.experiment.run_folder import Checkpoint, RunFolder, load_checkpoint, save_checkpoint
from ufgraphfr.experiment.training import Progress, train

logger = logging.getLogger(__name__)


def choose_device(name: str) -> torch.device:
    """``auto`` is the GPU if there is one.

    Raises:
        InputError: an unknown device, or a GPU asked for where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {name}: choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no GPU here; use --device cpu")
    gpu = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if gpu else "cpu")


def execute(
    experiment: Experiment,
    out: Path,
    data_dir: Path | None = None,
    resume: bool = False,
    device: str = "auto",
    population: Population | None = None,
) -> Iterator[Progress]:
    """Run an experiment; when this generator ends, ``out`` holds the result.

    Args:
        experiment: what to run.
        out: the run folder.
        data_dir: where the data set's files lie.
        resume: go on with an unfinished folder; one that is missing is started, one that is
            finished is left as it is.
        device: ``auto``, ``cpu`` or ``cuda``.
        population: who takes part; None simulates the data set's users.

    Yields:
        the progress after each round.

    Raises:
        InputError: bad data, or a folder that must not be written.
    """
    target = choose_device(device)
    folder = RunFolder(out)
    folder.check(experiment.resolved(), resume)
    if folder.result.exists():
        logger.info("%s is finished: nothing to do", out)
        return
    # bad data leave no folder behind
    people = population or Simulated(experiment, prepare(experiment, data_dir), target)
    _check_data(folder, people.data["sha256"])
    folder.create(experiment.resolved())
    with folder.locked():
        facts = environment(target) | {"data_sha256": people.data["sha256"]}
        folder.write_json(folder.environment, facts)
        if isinstance(experiment.model, Algorithm):
            model = model_in_use(experiment, people.setting)
            yield from train(experiment, model, people, folder, target)
            best = load_checkpoint(folder.best_or_model, target)
        else:
            best = Checkpoint(0, 0, 0.0, people.fit(experiment.model), {})
            save_checkpoint(folder.best, best)
        write_result(experiment, people, folder, best)


def _check_data(folder: RunFolder, sha256: str) -> None:
    """A run goes on only with the data it began with."""
    if folder.environment.exists():
        began = json.loads(folder.environment.read_text(encoding="utf-8"))["data_sha256"]
        if began != sha256:
            raise InputError(
                f"{folder.path} was begun on other data (sha256 {began[:12]}... there, "
                f"{sha256[:12]}... here): restore the files, or name another "
                f"folder with --out"
            )
