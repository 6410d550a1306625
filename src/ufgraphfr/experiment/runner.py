"""Run an experiment into its folder."""

import logging
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import torch

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.workers import local_rank, workers
from ufgraphfr.experiment.checkpoint import Checkpoint, save_checkpoint
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.derive import derive, settled
from ufgraphfr.experiment.environment import environment
from ufgraphfr.experiment.finished import read_result
from ufgraphfr.experiment.population import Population, Simulated
from ufgraphfr.experiment.prepare import DIGESTS, data_difference, prepare
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.experiment.result import write_result
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.experiment.shadow import folder_of
from ufgraphfr.experiment.shared import keyed_digest
from ufgraphfr.experiment.tracking import Tracking
from ufgraphfr.experiment.training import Progress, train
from ufgraphfr.privacy.accounted.ledger import Ledger

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
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if workers().size == 1:
        return torch.device("cuda")
    torch.cuda.set_device(local_rank())
    return torch.device("cuda", local_rank())


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
    with folder_of(workers(), out) as own:
        yield from _executed(experiment, own, data_dir, resume, device, population)


def _executed(
    experiment: Experiment,
    out: Path,
    data_dir: Path | None,
    resume: bool,
    device: str,
    population: Population | None,
) -> Iterator[Progress]:
    """The same with a folder of this worker's own."""
    target = choose_device(device)
    for tracker in experiment.run.built:
        tracker.check()
    folder = RunFolder(out)
    if folder.config.exists():
        experiment = settled(experiment, folder.experiment())
    folder.check(experiment, resume)
    if folder.result.exists():
        logger.info("%s is finished: nothing to do", out)
        if folder.experiment().baselines != experiment.baselines:
            logger.warning("its baselines stay as they are: name another folder for others")
        return
    # bad data leave no folder behind
    if population is None:
        experiment, population = _simulated(experiment, data_dir, target)
    _check_data(folder, population.data)
    fresh = not folder.config.exists()
    folder.create(experiment)
    with folder.locked():
        folder.write_json(folder.environment, _facts(experiment, population, folder, target))
        tracking = Tracking(experiment, folder)
        try:
            best = yield from _fitted(experiment, population, folder, target, tracking)
        except Exception:
            # a plan that is refused leaves nothing behind, as bad data do
            if fresh and not population.durable and _nothing_done(folder):
                folder.discard()
            raise
        write_result(experiment, population, folder, best)
        tracking.finish(read_result(folder.result, in_full=tracking.everything))


def _fitted(
    experiment: Experiment,
    population: Population,
    folder: RunFolder,
    device: torch.device,
    tracking: Tracking,
) -> Generator[Progress, None, Checkpoint]:
    """Train, or fit a baseline; returns the best checkpoint."""
    if isinstance(experiment.model, Algorithm):
        model = model_in_use(experiment, population.setting)
        yield from tracking.watched(train(experiment, model, population, folder, device))
        return folder.load_model(device)
    best = Checkpoint(0, 0, 0.0, population.fit(experiment.model), {})
    save_checkpoint(folder.best, best)
    return best


def _simulated(
    experiment: Experiment, data_dir: Path | None, device: torch.device
) -> tuple[Experiment, Simulated]:
    """The experiment with nothing left open, and the data set's users."""
    prepared = prepare(experiment, data_dir)
    experiment = derive(experiment, prepared.public_facts, prepared.setting)
    return experiment, Simulated(experiment, prepared, device)


def _facts(
    experiment: Experiment, population: Population, folder: RunFolder, device: torch.device
) -> dict[str, Any]:
    """What a run ran on, which data, and where its file was."""
    data = _told(population.data, folder.key)
    facts = environment(device) | {f"data_{name}": value for name, value in data.items()}
    facts["workers"] = workers().size
    if experiment.folder is not None:
        # seen from here, so that both can be moved together
        facts["experiment_folder"] = os.path.relpath(
            experiment.folder.resolve(), folder.path.resolve()
        )
    return facts


def _told(data: dict[str, Any], key: bytes | None) -> dict[str, Any]:
    """The digests of the data; under a guarantee one that only who has the key can check."""
    if key is not None:
        return {"keyed": keyed_digest(data, key)}
    return {name: data[name] for name in DIGESTS if name in data}


def _nothing_done(folder: RunFolder) -> bool:
    """Whether no round was done, and none was paid for."""
    return not folder.read_metrics() and Ledger(folder.ledger).last_round == 0


def _check_data(folder: RunFolder, data: dict[str, Any]) -> None:
    """A run goes on only with the data it began with."""
    facts = folder.environment_facts()
    began = {
        name.removeprefix("data_"): value
        for name, value in facts.items()
        if name.startswith("data_")
    }
    here = _told(data, folder.key if "keyed" in began else None)
    if began and (differs := data_difference(began, here)):
        raise InputError(
            f"{folder.path} was begun on other data ({differs}): restore the files, or name "
            f"another folder with --out"
        )
