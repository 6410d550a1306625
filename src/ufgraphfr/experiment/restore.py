"""A finished run as it was: its experiment, and the data it was trained on."""

import json
import tomllib
from pathlib import Path

from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment.config import Experiment, build
from ufgraphfr.experiment.prepare import PreparedExperiment, prepare
from ufgraphfr.experiment.run_folder import RunFolder


def finished_experiment(run: RunFolder) -> Experiment:
    """What a finished run trained.

    Raises:
        InputError: the folder holds no finished run.
    """
    if not run.result.exists():
        raise InputError(f"{run.path} holds no finished run: train it with ufgraphfr run")
    return build(tomllib.loads(run.config.read_text(encoding="utf-8")))


def prepared_as_trained(
    run: RunFolder, experiment: Experiment, data_dir: Path | None
) -> PreparedExperiment:
    """The data of a finished run.

    Args:
        run: its folder.
        experiment: what it trained.
        data_dir: where the data set's files lie, if the run was given one.

    Raises:
        InputError: the data cannot be found or have changed.
    """
    prepared = prepare(experiment, data_dir)
    data = json.loads(run.result.read_text(encoding="utf-8"))["data"]
    trained_on = data.get("digest", data["sha256"])
    if not prepared.dataset.has_digest(trained_on):
        raise InputError(
            f"{run.path} was trained on other data (digest {trained_on[:12]}... there, "
            f"{prepared.dataset.digest[:12]}... here): name its files with --data-dir"
        )
    return prepared
