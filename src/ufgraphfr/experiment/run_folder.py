"""The run folder: what is in it, and how it is written so that a kill at any moment loses nothing.

Every file is written beside its place and renamed into it, except ``metrics.jsonl``, which grows a
line a round and is cut back to the checkpoint on resume.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.schemas import CHECKPOINT, METRICS
from ufgraphfr.experiment.stored import (
    CONFIG_FILE,
    RESOLVED_FILE,
    difference,
    read_experiment,
    write_experiment,
)

NOTICE = """This folder holds personal data: model.safetensors and checkpoint/ carry weights that
were trained on single users and, in a deployment, never leave their devices; ranks.parquet says
how well each user was predicted. Do not publish it. result.json and config.toml are safe to share.
"""

Arrays = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run needs to go on.

    Attributes:
        round: rounds that are done.
        best_round: the round with the best validation so far, at most ``round``.
        best_value: that round's validation metric `metrics.SELECTED_BY`, full ranking.
        server: the server's memory.
        private: the weights of all clients.
    """

    round: int
    best_round: int
    best_value: float
    server: Arrays
    private: Arrays


class RunFolder:
    """The files of one run.

    Attributes:
        path: the folder.
        config: the settings that differ from their defaults, TOML; all are in ``resolved.toml``.
        result: it exists if the run is finished.
        metrics: one JSON object a round.
        model: the weights at the best round.
        environment: versions and machine.
        latest: the last checkpoint.
        best: the best checkpoint by validation, until it becomes the model.
        ledger: what a run with a guarantee has spent; never cut back.
        statement: the guarantee on one page.
        ranks: per-user test ranks.
    """

    def __init__(self, path: Path) -> None:
        """Names the files; nothing is written yet."""
        self.path = path
        self.config = path / CONFIG_FILE
        self.result = path / "result.json"
        self.metrics = path / "metrics.jsonl"
        self.model = path / "model.safetensors"
        self.environment = path / "environment.json"
        self.latest = path / "checkpoint" / "latest.safetensors"
        self.best = path / "checkpoint" / "best.safetensors"
        self.ledger = path / "ledger.jsonl"
        self.statement = path / "privacy.md"
        self.ranks = path / "ranks.parquet"

    def experiment(self) -> Experiment:
        """What is run here, with every setting as it was when the folder was made.

        Raises:
            InputError: the settings cannot be read.
        """
        return read_experiment(self.path, self.environment_facts().get("experiment_folder"))

    def environment_facts(self) -> dict[str, Any]:
        """What `environment` says; nothing before a run has begun."""
        if not self.environment.exists():
            return {}
        facts: dict[str, Any] = json.loads(self.environment.read_text(encoding="utf-8"))
        return facts

    def check(self, experiment: Experiment, resume: bool) -> None:
        """Check that an experiment may be run here, or go on; nothing is written.

        Raises:
            InputError: the folder holds this experiment and ``resume`` is not set, another
                experiment, or something else.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file, not a folder: name another with --out")
        if not self.config.exists():
            # a kill while the folder was made leaves only what write_atomically had begun
            if self.path.exists() and any(not _begun(path) for path in self.path.iterdir()):
                raise InputError(f"{self.path} is not empty and not a run: name another with --out")
            return
        differs = difference(self.experiment(), experiment)
        if differs:
            raise InputError(
                f"{self.path} holds another experiment ({differs}): name another folder with --out"
            )
        if not resume:
            there = "finished: show its result" if self.result.exists() else "unfinished: go on"
            raise InputError(
                f"{self.path} already holds this experiment, {there} with --resume, "
                f"or name another folder with --out"
            )

    def create(self, experiment: Experiment) -> None:
        """Make the folder, unless it is there; what may change in a run is written anew.

        Raises:
            InputError: it cannot be written.
        """
        try:
            there = self.experiment() if self.config.exists() else None
            if there is None or there.baselines != experiment.baselines:
                write_experiment(self.path, experiment)
            write_atomically(self.path / "PERSONAL_DATA.txt", NOTICE.encode())
        except OSError as error:
            raise InputError(
                f"cannot write the run folder {self.path} ({error.strerror}): "
                f"name another with --out"
            ) from None

    def discard(self) -> None:
        """Remove everything; for a folder in which nothing was trained or released."""
        shutil.rmtree(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out; the system frees the lock however this process ends.

        Raises:
            InputError: another process is running in this folder.
        """
        with self.config.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"another process is running in {self.path}: wait for it, or name another "
                    f"folder with --out"
                ) from None
            yield

    def write_json(self, path: Path, value: dict[str, Any]) -> None:
        """Write a JSON object atomically."""
        write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add a round's line."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(METRICS.write(line)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def cut_metrics(self, rounds: int) -> None:
        """Keep the lines of the first ``rounds`` rounds: what came after will come again."""
        lines = self.metrics.read_text().splitlines(keepends=True) if self.metrics.exists() else []
        write_atomically(self.metrics, "".join(lines[:rounds]).encode())

    def read_metrics(self) -> list[dict[str, Any]]:
        """One object for each round; none for a model without rounds.

        Raises:
            InputError: a later version wrote them.
        """
        if not self.metrics.exists():
            return []
        lines = self.metrics.read_text().splitlines()
        return [METRICS.read(json.loads(line), self.metrics) for line in lines]

    @property
    def best_or_model(self) -> Path:
        """The best checkpoint, also if a kill came after it had become the model."""
        return self.best if self.best.exists() else self.model

    def promote_best(self) -> None:
        """Make the best checkpoint the run's model."""
        os.replace(self.best_or_model, self.model)


def _begun(path: Path) -> bool:
    return path.name.startswith(f".{CONFIG_FILE}.") or RESOLVED_FILE in path.name


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically; it is on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"server/{name}": value for name, value in checkpoint.server.items()}
    arrays |= {f"private/{name}": value for name, value in checkpoint.private.items()}
    facts = {
        "round": checkpoint.round,
        "best_round": checkpoint.best_round,
        "best_value": checkpoint.best_value,
    }
    partial = path.with_name(f".{path.name}.partial")
    # cloned: the format refuses arrays that share memory, as a graph kept over rounds does
    own = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in arrays.items()
    }
    save_file(own, partial, metadata={"checkpoint": json.dumps(CHECKPOINT.write(facts))})
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)


def load_checkpoint(path: Path, device: torch.device) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        InputError: the file cannot be read as a checkpoint.
    """
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            facts = json.loads(file.metadata()["checkpoint"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable checkpoint ({error}): delete the run folder and start again"
        ) from None
    facts = CHECKPOINT.read(facts, path)
    parts: dict[str, Arrays] = {"server": {}, "private": {}}
    for name, value in arrays.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = value
    return Checkpoint(
        facts["round"], facts["best_round"], facts["best_value"], parts["server"], parts["private"]
    )
