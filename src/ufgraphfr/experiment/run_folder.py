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
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import append_line, write_atomically
from ufgraphfr.core.keyed import key_at
from ufgraphfr.experiment.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.schemas import METRICS, RESULT
from ufgraphfr.experiment.shared import shared_line, shared_result
from ufgraphfr.experiment.stored import (
    CONFIG_FILE,
    RESOLVED_FILE,
    difference,
    read_experiment,
    write_experiment,
)
from ufgraphfr.privacy.accounted.ledger import Ledger

NOTICE = """This folder holds personal data: model.safetensors and checkpoint/ carry weights that
were trained on single users and, in a deployment, never leave their devices; ranks.parquet says
how well each user was predicted. Do not publish it, result.json neither: its counts and digest say
whether somebody's data are among these. A run with a guarantee keeps them apart.
"""
NOTICE_PERSONAL = """This folder holds personal data: weights of single users, un-noised metrics,
ranks and counts, and the key of the data's digest. No guarantee covers them. Do not publish it.
What lies beside it may be shared; ufgraphfr export writes exactly what the guarantee covers.
"""

CHECKPOINTS, RANKS_FILE = "checkpoint", "ranks.parquet"


class RunFolder:
    """The files of one run.

    Attributes:
        path: the folder.
        config: the settings that differ from their defaults, TOML; all are in ``resolved.toml``.
        result: it exists if the run is finished.
        metrics: one JSON object a round.
        model: the weights at the best round.
        environment: versions and machine.
        ledger: what a run with a guarantee has spent; never cut back.
        statement: the guarantee on one page.
        personal: under a guarantee the folder of all that it does not cover: `ranks`, checkpoints
            and private weights, and `result` and `metrics` in full. What stands outside it may be
            shared. There is none without a guarantee, nor in runs of 0.2.
    """

    def __init__(self, path: Path) -> None:
        """Names the files; nothing is written yet."""
        self.path = path
        self.config = path / CONFIG_FILE
        self.result = path / "result.json"
        self.metrics = path / "metrics.jsonl"
        self.model = path / "model.safetensors"
        self.environment = path / "environment.json"
        self.ledger = path / "ledger.jsonl"
        self.statement = path / "privacy.md"
        self.personal = path / "personal"

    @property
    def latest(self) -> Path:
        """The last checkpoint."""
        return self.own / CHECKPOINTS / "latest.safetensors"

    @property
    def best(self) -> Path:
        """The best checkpoint by validation, until it becomes the model."""
        return self.own / CHECKPOINTS / "best.safetensors"

    @property
    def ranks(self) -> Path:
        """Per-user test ranks."""
        return self.own / RANKS_FILE

    @property
    def key(self) -> bytes | None:
        """What digests of the data are keyed with; None without a guarantee."""
        return key_at(self.personal / "key") if self.personal.is_dir() else None

    @property
    def own(self) -> Path:
        """Where personal files lie: `personal`, or without one the folder itself."""
        return self.personal if self.personal.is_dir() else self.path

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
            if experiment.is_private:
                self._set_apart()
            notice = NOTICE_PERSONAL if experiment.is_private else NOTICE
            write_atomically(self.own / "PERSONAL_DATA.txt", notice.encode())
        except OSError as error:
            raise InputError(
                f"cannot write the run folder {self.path} ({error.strerror}): "
                f"name another with --out"
            ) from None

    def _set_apart(self) -> None:
        """Make the personal folder; what a release of before wrote beside it moves there."""
        self.personal.mkdir(mode=0o700, exist_ok=True)
        for name in (CHECKPOINTS, RANKS_FILE, self.metrics.name, "PERSONAL_DATA.txt"):
            there = self.path / name
            if there.exists() and not (self.personal / name).exists():
                os.replace(there, self.personal / name)

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

    def write_result(self, result: dict[str, Any]) -> None:
        """Write the result, last of all; under a guarantee in full and, beside it, to be shared."""
        if self.key is not None:
            self.write_json(self.personal / self.result.name, RESULT.write(result))
            result = shared_result(result, self.key)
        self.write_json(self.result, RESULT.write(result))

    def append_metrics(self, line: dict[str, Any], expected: float | None = None) -> None:
        """Add a round's line; under a guarantee the shared one says how many were expected."""
        lines = {self.own / self.metrics.name: line}
        if self.key is not None:
            lines[self.metrics] = shared_line(line, expected)
        for path, content in lines.items():
            append_line(path, (json.dumps(METRICS.write(content)) + "\n").encode())

    def cut_metrics(self, rounds: int) -> None:
        """Keep the lines of the first ``rounds`` rounds: what came after will come again."""
        for path in {self.metrics, self.own / self.metrics.name}:
            lines = path.read_text().splitlines(keepends=True) if path.exists() else []
            write_atomically(path, "".join(lines[:rounds]).encode())

    def read_metrics(self) -> list[dict[str, Any]]:
        """One object for each round; none for a model without rounds.

        Raises:
            InputError: a later version wrote them.
        """
        return _lines(self.own / self.metrics.name)

    def shared_metrics(self) -> list[dict[str, Any]]:
        """The same, of what may be shared under a guarantee."""
        return _lines(self.metrics)

    def read_ledger(self) -> Ledger:
        """What this run has promised and spent, if it is the ledger that the result was made with.

        Raises:
            InputError: it is another one, or altered.
        """
        ledger = Ledger(self.ledger)
        result = json.loads(self.result.read_text()) if self.result.exists() else {}
        said = result.get("ledger")
        if said is not None and said != ledger.head:
            raise InputError(
                f"{self.ledger} is not the one that result.json was written with: the record of "
                f"what was promised and spent has been altered, and nothing is claimed from it"
            )
        return ledger

    @property
    def best_or_model(self) -> Path:
        """The best checkpoint, also if a kill came after it had become the model."""
        return self.best if self.best.exists() else self.model

    def promote_best(self) -> None:
        """Make the best checkpoint the run's model; under a guarantee, without private weights."""
        if self.personal.is_dir() and self.best.exists():
            best = load_checkpoint(self.best, torch.device("cpu"))
            save_checkpoint(self.personal / self.model.name, replace(best, server={}))
            save_checkpoint(self.model, replace(best, private={}))
            self.best.unlink()
        else:
            os.replace(self.best_or_model, self.model)

    def load_model(self, device: torch.device) -> Checkpoint:
        """The run's model; without private weights where the personal folder is not at hand.

        Raises:
            InputError: it cannot be read.
        """
        model, own = load_checkpoint(self.best_or_model, device), self.personal / self.model.name
        if self.best.exists() or not own.exists():
            return model
        return replace(model, private=load_checkpoint(own, device).private)


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [METRICS.read(json.loads(line), path) for line in path.read_text().splitlines()]


def _begun(path: Path) -> bool:
    return path.name.startswith(f".{CONFIG_FILE}.") or RESOLVED_FILE in path.name
