"""The run folder: what is in it, and how it is written so that a kill at any moment loses nothing.

Every file is written beside its place and renamed into it, except ``metrics.jsonl``, which grows a
line a round and is cut back to the checkpoint on resume.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically

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
        best_value: that round's validation NDCG@10, full ranking.
        server: the server's memory.
        private: the weights of all clients.
    """

    round: int
    best_round: int
    best_value: float
    server: Arrays
    private: Arrays


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        """Names the folder; nothing is written yet."""
        self.path = path

    @property
    def config(self) -> Path:
        """The resolved experiment, TOML."""
        return self.path / "config.toml"

    @property
    def result(self) -> Path:
        """The result; it exists if the run is finished."""
        return self.path / "result.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a round."""
        return self.path / "metrics.jsonl"

    @property
    def model(self) -> Path:
        """The weights at the best round."""
        return self.path / "model.safetensors"

    @property
    def environment(self) -> Path:
        """Versions and machine."""
        return self.path / "environment.json"

    @property
    def latest(self) -> Path:
        """The last checkpoint."""
        return self.path / "checkpoint" / "latest.safetensors"

    @property
    def best(self) -> Path:
        """The best checkpoint by validation, until it becomes the model."""
        return self.path / "checkpoint" / "best.safetensors"

    @property
    def ranks(self) -> Path:
        """Per-user test ranks."""
        return self.path / "ranks.parquet"

    def open(self, config: dict[str, Any], digest: str, resume: bool) -> None:
        """Make the folder, or check that this experiment may go on in it.

        Args:
            config: the resolved experiment.
            digest: of the experiment.
            resume: whether to go on with what is there.

        Raises:
            InputError: the folder is finished, holds another experiment, or holds this one and
                ``resume`` is not set.
        """
        marker = self.path / "digest"
        if marker.exists():
            if marker.read_text().strip() != digest:
                raise InputError(
                    f"{self.path} holds another experiment (see its config.toml): "
                    f"name another folder with --out"
                )
            if not resume:
                raise InputError(
                    f"{self.path} already holds this experiment: go on with --resume, "
                    f"or name another folder with --out"
                )
            return
        if self.path.exists() and any(self.path.iterdir()):
            raise InputError(f"{self.path} is not empty and not a run: name another with --out")
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / "PERSONAL_DATA.txt", NOTICE.encode())
        write_atomically(self.config, tomli_w.dumps(config).encode())
        write_atomically(marker, f"{digest}\n".encode())

    def write_json(self, path: Path, value: dict[str, Any]) -> None:
        """Write a JSON object atomically."""
        write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add a round's line."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def cut_metrics(self, rounds: int) -> None:
        """Keep the lines of the first ``rounds`` rounds: what came after will come again."""
        lines = self.metrics.read_text().splitlines(keepends=True) if self.metrics.exists() else []
        write_atomically(self.metrics, "".join(lines[:rounds]).encode())

    def read_metrics(self) -> list[dict[str, Any]]:
        """One object for each round; none for a model without rounds."""
        if not self.metrics.exists():
            return []
        return [json.loads(line) for line in self.metrics.read_text().splitlines()]

    @property
    def best_or_model(self) -> Path:
        """The best checkpoint, also if a kill came after it had become the model."""
        return self.best if self.best.exists() else self.model

    def promote_best(self) -> None:
        """Make the best checkpoint the run's model."""
        os.replace(self.best_or_model, self.model)


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
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in arrays.items()},
        partial,
        metadata={"checkpoint": json.dumps(facts)},
    )
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
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable checkpoint ({error}): delete the run folder and start again"
        ) from None
    parts: dict[str, Arrays] = {"server": {}, "private": {}}
    for name, value in arrays.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = value
    return Checkpoint(
        facts["round"], facts["best_round"], facts["best_value"], parts["server"], parts["private"]
    )
