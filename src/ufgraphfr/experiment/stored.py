"""An experiment in its run folder: written with the keys that differ, read in every schema.

What decides whether a folder holds an experiment is `Experiment.identity` of both, as today's code
sees them; so neither a key that was added nor one that was renamed makes an old run another one.
"""

import os
import tomllib
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.experiment.config import Experiment, version_in
from ufgraphfr.experiment.reading import build_beside
from ufgraphfr.experiment.schemas import CONFIG
from ufgraphfr.experiment.settings import flat, put

CONFIG_FILE, RESOLVED_FILE = "config.toml", "resolved.toml"


def write_experiment(folder: Path, experiment: Experiment) -> None:
    """Write both files; ``config.toml`` last, whose presence makes the folder a run."""
    values = {RESOLVED_FILE: experiment.resolved(), CONFIG_FILE: experiment.changed()}
    for name, settings in values.items():
        text = tomli_w.dumps({"schema": CONFIG.version, **settings})
        write_atomically(folder / name, text.encode())


def read_experiment(folder: Path, beside: str | None = None) -> Experiment:
    """The experiment of a run folder, with every setting as it was.

    Args:
        folder: the run folder.
        beside: the folder of the experiment's own file, seen from the run folder.

    Raises:
        InputError: it cannot be read, or asks for what there is no more.
    """
    path = folder / CONFIG_FILE
    place = None if beside is None else _beside(folder, beside)
    try:
        values = read_settings(folder)
        CONFIG.check(version_in(values), path)
        # version 1 wrote every key
        then = {} if version_in(values) == 1 else read_settings(folder, RESOLVED_FILE)
        table = (then or values).get("data", {})
        if table.get("kind") == "table" and "file_order" not in table:
            # there was no such key when the order of the file decided
            put(values, "data.file_order", True)
        with warnings.catch_warnings():
            # the names of then, which nobody is to change in a run folder
            warnings.simplefilter("ignore", DeprecationWarning)
            # what is written leaves nothing to be derived
            return replace(_as_it_was(values, then, place), auto=frozenset())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read as a run's settings ({error})") from None


def _beside(folder: Path, name: str) -> Path:
    """The folder that a run folder names, which may itself be named by a link to it."""
    found = Path(os.path.normpath(folder.resolve() / name))
    # releases before followed no links when they wrote the name
    return found if found.is_dir() else Path(os.path.normpath(folder / name))


def read_settings(folder: Path, name: str = CONFIG_FILE) -> dict[str, Any]:
    """A file of settings as it is, of whatever schema."""
    return tomllib.loads((folder / name).read_text(encoding="utf-8"))


def _as_it_was(values: dict[str, Any], then: dict[str, Any], place: Path | None) -> Experiment:
    """Settings, with the defaults of then where today's are others."""
    experiment = build_beside(values, place)
    today = flat(experiment.resolved())
    changed = {k: v for k, v in flat(then).items() if k in today and today[k] != v}
    for key, value in changed.items():
        put(values, key, value)
    return build_beside(values, place)


def difference(there: Experiment, here: Experiment) -> str:
    """The first setting in which two experiments differ; empty if they are the same."""
    theirs, ours = flat(there.identity()), flat(here.identity())
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key):
            both = (flat(experiment.resolved()) for experiment in (there, here))
            shown = (repr(side[key]) if key in side else "not set" for side in both)
            return "{} is {} there, {} here".format(key, *shown)
    return ""
