"""What the guarantee of a run covers, and nothing else, in a folder of its own to give away."""

import copy
import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w
import torch

from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment.checkpoint import save_checkpoint
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.experiment.schemas import CONFIG
from ufgraphfr.privacy.accounted.statement import proven, statement

ENVIRONMENT = (
    "ufgraphfr",
    "commit",
    "python",
    "packages",
    "platform",
    "processor",
    "cpus",
    "threads",
    "device",
)
"""Not when it ran and where its files were, nor any digest of the data."""


def publish(folder: Path, place: Path) -> list[str]:
    """Write the public part of a finished run: model, statement, settings and environment.

    Args:
        folder: the run folder.
        place: the folder to make; it appears whole or not at all.

    Returns:
        The names of the files.

    Raises:
        InputError: no finished run, one without a guarantee, or there is something already.
    """
    run, files = Run(folder), RunFolder(folder)
    ledger = files.read_ledger()
    if proven(ledger.guarantee) is None:
        raise InputError(
            f"{folder} has no privacy guarantee, so nothing of it is public: train it with "
            f'[privacy] kind = "central-jdp"'
        )
    if place.exists():
        raise InputError(f"{place} exists and is never overwritten: name another folder")
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    try:
        model = files.load_model(torch.device("cpu"))
        save_checkpoint(partial / files.model.name, replace(model, private={}))
        (partial / files.statement.name).write_text(statement(ledger), encoding="utf-8")
        settings = tomli_w.dumps({"schema": CONFIG.version, **public_settings(run.experiment)})
        (partial / files.config.name).write_text(settings, encoding="utf-8")
        facts = files.environment_facts()
        told = {name: facts[name] for name in ENVIRONMENT if name in facts}
        environment = json.dumps(told, indent=2) + "\n"
        (partial / files.environment.name).write_text(environment, encoding="utf-8")
        # a temporary folder is its owner's alone
        partial.chmod(0o755)
        os.rename(partial, place)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return sorted(path.name for path in place.iterdir())


def public_settings(experiment: Experiment) -> dict[str, Any]:
    """What was set, without paths."""
    settings = copy.deepcopy(experiment.changed())
    for key in experiment.source.files:
        settings.get("data", {}).pop(key, None)
    return settings
